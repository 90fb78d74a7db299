//! The selectors by name. Each asks for something else every time, so that nothing is known already.

/// A selector with a place for a number.
pub(crate) struct Asked {
    pub(crate) called: &'static str,
    /// `{7}` is a number of seven digits below the number of devices, `{6}` a tenth of it, `{3}` one
    /// below 1,000; `{8}` is 1,000 behind `{7}`.
    select: &'static str,
    /// How often, with another number each time: any of them will do.
    times: usize,
}

const fn asked(called: &'static str, select: &'static str) -> Asked {
    Asked { called, select, times: 1 }
}

/// Those that an index serves.
pub(crate) const INDEXED: &[Asked] = &[
    asked("an id", "id==pos-{7}"),
    asked("a list of ids", "id=in=(pos-{7},pos-{8},nobody)"),
    asked("a range of ids", "id>=pos-{7} and id<pos-{8}"),
    asked("how an id begins", "id==pos-0{3}*"),
    asked("a tag that an eighth has", "tag.region==west"),
    asked("a tag that ten have", "tag.store==s{6}"),
    asked("two tags that one in 80 has", "tag.region==west and tag.lane==3"),
    asked("a version that nearly all run", "version==2.1.4"),
    asked("versions that one in 10,000 runs", "version<2.0.0"),
    asked("silent for long, one in 20,000", "last_seen<-30d"),
    asked("a place of one in 1,000", "location==\"Town {3}\""),
    asked("a time zone and a version of one in 100", "time_zone==Asia/Tokyo and version==2.0.0"),
];

/// Those that none serves: every device has to be looked at.
pub(crate) const UNINDEXED: &[Asked] = &[
    asked("the middle of a name", "name==*nowhere{3}*"),
    asked("the end of an address", "address==*:{3}"),
    Asked { called: "60 middles of names", select: "name==*no*where*{3}*", times: 60 },
];

impl Asked {
    pub(crate) fn select(&self, request: usize, devices: usize) -> String {
        let one = |time: usize| {
            let number = request.wrapping_mul(7_919_017).wrapping_add(time) % devices;
            self.select
                .replace("{7}", &format!("{number:07}"))
                .replace("{8}", &format!("{:07}", number + 1_000))
                .replace("{6}", &format!("{:06}", number / 10))
                .replace("{3}", &format!("{:03}", number % devices.min(1_000)))
        };
        (0..self.times).map(one).collect::<Vec<_>>().join(" or ")
    }

    /// As it is shown.
    pub(crate) fn example(&self, devices: usize) -> String {
        let one = Self { times: 1, ..*self }.select(0, devices);
        if self.times > 1 { format!("{one} or ...") } else { one }
    }

    /// The path of a page; behind that of an earlier request, if its cursor is given.
    pub(crate) fn page(
        &self,
        request: usize,
        devices: usize,
        next: Option<(usize, String)>,
    ) -> String {
        let (request, cursor) = match next {
            Some((request, cursor)) => (request, format!("&cursor={cursor}")),
            None => (request, String::new()),
        };
        let select = self.select(request, devices);
        let select =
            percent_encoding::utf8_percent_encode(&select, percent_encoding::NON_ALPHANUMERIC);
        format!("/api/v1/devices?select={select}&limit=100{cursor}")
    }
}
