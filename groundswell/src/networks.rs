//! Which addresses may be connected to: what a server is told to reach is dangerous input.
//!
//! Whoever may write a device or a gate down makes the server open a connection. Without rules it
//! would open one to whatever the server can reach and they cannot: itself, its neighbors, and the
//! place where a cloud gives out its credentials. Owns the rules and their exceptions; touches
//! nothing but, for the addresses of this machine, its table of routes. Type to read first:
//! [`Networks`].

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    str::FromStr,
    sync::Arc,
};

use groundswell_core::device::Address;

mod forms;

use self::forms::{forms, in_old_form};

/// Most exceptions: a list of sites, not a table of routes.
pub const ALLOWED_MAX: usize = 256;

/// Where clouds give out credentials and secrets of a machine, outside of link-local networks too.
const METADATA: [IpAddr; 9] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    // Amazon's containers, and Azure's, Alibaba's and Oracle's machines.
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// What these are called where they have names.
const METADATA_NAMES: [&str; 7] = [
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
    "metadata.tencentyun.com",
    "metadata.azure.internal",
];

/// Why an address is not connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It hands out the credentials of a machine.
    Metadata,
    /// It is the machine itself, as it calls itself.
    Loopback,
    /// It is of this machine.
    Own,
    /// It is of whoever is on the same wire.
    LinkLocal,
    /// It is no address of anybody.
    Unspecified,
    /// It is of many.
    Multicast,
    /// It is of all on a network, or kept for later.
    Broadcast,
}

impl Why {
    /// In words, to follow "the address is ".
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metadata => "that of a cloud's metadata service",
            Self::Loopback => "this machine's own (loopback)",
            Self::Own => "this machine's own",
            Self::LinkLocal => "link-local",
            Self::Unspecified => "unspecified",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast or reserved",
        }
    }
}

/// An address that is not connected to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {}: it is not connected to unless `allow` of [networks] names it", why.as_str())]
pub struct Refusal {
    /// The address, or the name.
    pub what: String,
    /// What is wrong with it.
    pub why: Why,
}

/// A network: all addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A text that is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no network: {why}")]
pub struct BadNetwork {
    /// As given, shortened.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let bad = |why: String| BadNetwork { text: text.chars().take(80).collect(), why };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| bad("write an address, or one and its bits, as in 10.0.0.0/8".into()))?;
        let most = width(address);
        let bits = match bits {
            None => most,
            Some(bits) => bits
                .parse()
                .ok()
                .filter(|bits| *bits <= most)
                .ok_or_else(|| bad(format!("behind the / stand 0 to {most} bits")))?,
        };
        let network = Self { address: masked(address, bits), bits };
        if network.address != address {
            return Err(bad(format!("with these bits it is {network}")));
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Network {
    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && masked(address, self.bits) == self.address
    }

    /// Whether it is one address.
    fn is_single(&self) -> bool {
        self.bits == width(self.address)
    }
}

const fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

/// Which addresses this machine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Own {
    /// Those that the operating system routes to itself at the moment.
    #[default]
    System,
    /// These, for tests.
    Fixed(Vec<IpAddr>),
}

/// What may be connected to: all but what is dangerous, and of that what is named. A clone shares.
#[derive(Clone, Debug, Default)]
pub struct Networks(Arc<Rules>);

#[derive(Debug, Default)]
struct Rules {
    allow: Vec<Network>,
    own: Own,
}

impl Networks {
    /// The rules with these exceptions. One of a metadata service has to be named by itself: a
    /// network that it is in is no exception for it.
    pub fn new(allow: Vec<Network>, own: Own) -> Self {
        Self(Arc::new(Rules { allow, own }))
    }

    /// Judges where a device or a server is, as far as that can be said without looking its name
    /// up.
    ///
    /// # Errors
    /// [`Refusal`] says what it is.
    pub fn judge_written(&self, address: &Address) -> Result<(), Refusal> {
        match address.ip() {
            Some(ip) => self.judge(ip),
            None => self.judge_name(address.host()),
        }
    }

    /// Judges a name, before it is looked up.
    ///
    /// # Errors
    /// [`Refusal`] if the name says what it is.
    pub fn judge_name(&self, name: &str) -> Result<(), Refusal> {
        let bare = name.trim_end_matches('.').to_ascii_lowercase();
        let refuse = |why| Err(Refusal { what: name.chars().take(80).collect(), why });
        if METADATA_NAMES.contains(&bare.as_str()) {
            return refuse(Why::Metadata);
        }
        let is_local = bare == "localhost" || bare.ends_with(".localhost");
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        if is_local && !loopback.into_iter().any(|ip| self.is_allowed(ip, Why::Loopback)) {
            return refuse(Why::Loopback);
        }
        // With exceptions it depends on which of its addresses the name leads to.
        if self.0.allow.is_empty() && self.0.own.is_called(&bare) {
            return refuse(Why::Own);
        }
        in_old_form(&bare).map_or(Ok(()), |ip| self.judge(ip.into()))
    }

    /// Judges an address, and every address that is reached through it.
    ///
    /// # Errors
    /// [`Refusal`] says what it is.
    pub fn judge(&self, ip: IpAddr) -> Result<(), Refusal> {
        for form in forms(ip) {
            if let Some(why) = self.danger(form)
                && !self.is_allowed(form, why)
            {
                let what =
                    if form == ip { ip.to_string() } else { format!("{ip} (that is {form})") };
                return Err(Refusal { what, why });
            }
        }
        Ok(())
    }

    fn is_allowed(&self, ip: IpAddr, why: Why) -> bool {
        let names = |network: &&Network| network.contains(ip);
        let mut naming = self.0.allow.iter().filter(names);
        naming.any(|network| why != Why::Metadata || network.is_single())
    }

    fn danger(&self, ip: IpAddr) -> Option<Why> {
        if METADATA.contains(&ip) {
            return Some(Why::Metadata);
        }
        let by_kind = match ip {
            IpAddr::V4(v4) => danger_of_v4(v4),
            IpAddr::V6(v6) => danger_of_v6(v6),
        };
        by_kind.or_else(|| self.0.own.has(ip).then_some(Why::Own))
    }
}

const fn danger_of_v4(v4: Ipv4Addr) -> Option<Why> {
    match v4.octets() {
        [0, ..] => Some(Why::Unspecified),
        [127, ..] => Some(Why::Loopback),
        [169, 254, ..] => Some(Why::LinkLocal),
        [224..=239, ..] => Some(Why::Multicast),
        [240..=255, ..] => Some(Why::Broadcast),
        _ => None,
    }
}

const fn danger_of_v6(v6: Ipv6Addr) -> Option<Why> {
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(Why::Unspecified),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Why::Loopback),
        [0xfe80..=0xfebf, ..] => Some(Why::LinkLocal),
        [0xff00..=0xffff, ..] => Some(Why::Multicast),
        _ => None,
    }
}

impl Own {
    /// Whether this machine calls itself so, with its domain or without.
    fn is_called(&self, name: &str) -> bool {
        let Self::System = self else { return false };
        let system = rustix::system::uname();
        let own = system.nodename().to_string_lossy().to_ascii_lowercase();
        !name.is_empty() && (name == own || own.split('.').next() == Some(name))
    }

    fn has(&self, ip: IpAddr) -> bool {
        match self {
            Self::System => is_routed_to_itself(ip).unwrap_or(false),
            Self::Fixed(own) => own.contains(&ip),
        }
    }
}

/// Any port: nothing is sent there.
const DISCARD: u16 = 9;

/// Whether the operating system would talk to `ip` from that very address: only an address of its
/// own is its own way out. Asked anew each time, for addresses come and go; no packet is sent.
fn is_routed_to_itself(ip: IpAddr) -> std::io::Result<bool> {
    let any = match ip {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(SocketAddr::new(ip, DISCARD))?;
    Ok(socket.local_addr()?.ip() == ip)
}

#[cfg(test)]
mod tests;
