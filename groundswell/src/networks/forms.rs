//! The addresses that one address stands for: IPv6 has several ways to write an IPv4 address into
//! an address, and gateways that take it out again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Every address that may be reached by connecting to `ip`, each to be judged by itself.
pub(super) fn forms(ip: IpAddr) -> impl Iterator<Item = IpAddr> {
    let (own, within) = match ip {
        IpAddr::V4(_) => (Some(ip), [None; 2]),
        // The operating system connects to the IPv4 address, and to nothing else.
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => (None, [Some(v4), None]),
            None => (Some(ip), embedded(v6)),
        },
    };
    own.into_iter().chain(within.into_iter().flatten().map(IpAddr::V4))
}

/// The IPv4 addresses inside of an IPv6 address.
fn embedded(v6: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let whole = v6.segments();
    let last = [Some(v4(whole[6], whole[7])), None];
    match whole {
        // The unspecified and the loopback address are no IPv4 addresses in IPv6's clothes.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None; 2],
        // IPv4-compatible (RFC 4291 section 2.5.5.1) and translated (RFC 2765), NAT64 (RFC 6052), also
        // within a network (RFC 8215): of a prefix of 48 bits the address stands in two pieces
        // around a byte of zeros (section 2.2), of one of 96 bits at the end.
        [0, 0, 0, 0, 0 | 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..]
        | [0x64, 0xff9b, 1, 0, ..] => last,
        [0x64, 0xff9b, 1, high, low, rest, ..] => {
            [Some(v4(high, (low << 8) | (rest >> 8))), last[0]]
        }
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => [Some(v4(high, low)), None],
        // Teredo (RFC 4380): the relay, and the client, whose bits are turned over.
        [0x2001, 0, high, low, ..] => [Some(v4(high, low)), Some(v4(!whole[6], !whole[7]))],
        // ISATAP (RFC 5214).
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => last,
        _ => [None; 2],
    }
}

fn v4(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low))
}

/// The address that a name is to whoever looks it up as in old times: in one to four parts, each
/// decimal, octal or hexadecimal, of which the last one fills what is left.
pub(super) fn in_old_form(name: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u32> = name.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = parts.split_last().filter(|(_, first)| first.len() < 4)?;
    let left = 32 - 8 * first.len() as u32;
    if u64::from(*last) >> left != 0 {
        return None;
    }
    let bytes = first.iter().map(|part| u8::try_from(*part).ok());
    let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
    let begin = bytes.iter().fold(0_u64, |address, byte| address << 8 | u64::from(*byte)) << left;
    u32::try_from(begin | u64::from(*last)).ok().map(Ipv4Addr::from_bits)
}

fn number(text: &str) -> Option<u32> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u32::from_str_radix(digits, 16).ok();
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match text.strip_prefix('0').filter(|digits| !digits.is_empty()) {
        Some(digits) => u32::from_str_radix(digits, 8).ok(),
        None => text.parse().ok(),
    }
}
