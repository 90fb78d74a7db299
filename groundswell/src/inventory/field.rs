//! The names that rows have for what they say of a device.

/// A field of a row, or a column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    Single(Single),
    Tags,
    Headers,
    Tag(&'a str),
    Header(&'a str),
}

/// A field that holds one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Single {
    Id,
    Name,
    Address,
    Version,
    FirmwareVersion,
    Location,
    TimeZone,
    Status,
    CheckIn,
    LastSeen,
    UpdatePath,
}

impl Single {
    /// As messages call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::Address => "address",
            Self::Version => "version",
            Self::FirmwareVersion => "firmware_version",
            Self::Location => "location",
            Self::TimeZone => "time_zone",
            Self::Status => "status",
            Self::CheckIn => "check_in",
            Self::LastSeen => "last_seen",
            Self::UpdatePath => "update_path",
        }
    }
}

/// Every name with a meaning.
pub(super) const FIELD_NAMES: [&str; 14] = [
    "id",
    "name",
    "address",
    "version",
    "firmware_version",
    "location",
    "time_zone",
    "status",
    "check_in",
    "last_seen",
    "update_path",
    "tags",
    "metadata",
    "headers",
];

impl<'a> Field<'a> {
    /// What a name means; `None` if nothing. Case, blanks, `_` and `-` are not looked at, except
    /// in the key of a tag.
    pub(super) fn of(name: &'a str) -> Option<Self> {
        Self::plain(name).or_else(|| {
            if let Some((prefix, key)) = name.split_once('.') {
                return match squash(prefix).as_str() {
                    "tag" | "tags" | "metadata" => Some(Self::Tag(key)),
                    "header" | "headers" => Some(Self::Header(key)),
                    _ => None,
                };
            }
            let squashed = squash(name);
            let meant = FIELD_NAMES.iter().find(|known| squash(known) == squashed)?;
            Self::plain(meant)
        })
    }

    fn plain(name: &str) -> Option<Self> {
        let single = match name {
            "id" => Single::Id,
            "name" => Single::Name,
            "address" => Single::Address,
            "version" => Single::Version,
            "firmware_version" => Single::FirmwareVersion,
            "location" => Single::Location,
            "time_zone" => Single::TimeZone,
            "status" => Single::Status,
            "check_in" => Single::CheckIn,
            "last_seen" => Single::LastSeen,
            "update_path" => Single::UpdatePath,
            "tags" | "metadata" => return Some(Field::Tags),
            "headers" => return Some(Field::Headers),
            _ => return None,
        };
        Some(Field::Single(single))
    }
}

/// What a name is told apart by.
pub(super) fn squash(name: &str) -> String {
    let kept = name.chars().filter(|c| !matches!(c, '_' | '-' | ' '));
    kept.flat_map(char::to_lowercase).collect()
}
