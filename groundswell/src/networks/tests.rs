use proptest::prelude::*;

use super::*;

fn networks(allow: &[&str]) -> Networks {
    let allow = allow.iter().map(|text| text.parse().unwrap()).collect();
    Networks::new(allow, Own::Fixed(vec!["203.0.113.7".parse().unwrap()]))
}

fn why(networks: &Networks, ip: &str) -> Option<Why> {
    networks.judge(ip.parse().unwrap()).err().map(|refusal| refusal.why)
}

#[test]
fn names_that_are_addresses_or_this_machine_are_refused_before_anybody_looks_them_up() {
    let networks = networks(&[]);
    let why = |name: &str| networks.judge_name(name).err().map(|refusal| refusal.why);
    for name in ["0x7f000001", "0X7F.1", "127.1", "0177.0.0.1", "2130706433", "0x7f.0.0x1."] {
        assert_eq!(why(name), Some(Why::Loopback), "{name}");
    }
    assert_eq!(why("0xa9fea9fe"), Some(Why::Metadata));
    assert_eq!(why("0xcb.113.7"), None, "203.113.0.7");
    for name in ["0x", "0xfffffffff", "1.2.3.4.5", "256.1.1.1", "08.1.1.1", "pos-1", "a.0x1", ""] {
        assert_eq!(why(name), None, "{name}");
    }
    let own = rustix::system::uname().nodename().to_str().unwrap().to_owned();
    let refused = Networks::new(vec![], Own::System).judge_name(&own);
    assert!(refused.is_err(), "{own}");
    let allowed = Networks::new(vec!["127.0.0.0/8".parse().unwrap()], Own::System);
    assert!(own == "localhost" || allowed.judge_name(&own).is_ok(), "{own}");
}

/// What is dangerous, in each of the forms that it may come in.
#[test]
fn dangerous_addresses_are_refused_in_every_form() {
    use Why::{Broadcast, LinkLocal, Loopback, Metadata, Multicast, Own, Unspecified};
    let networks = networks(&[]);
    for (ip, wanted) in [
        ("127.0.0.1", Loopback),
        ("127.255.0.3", Loopback),
        ("::1", Loopback),
        ("0.0.0.0", Unspecified),
        ("0.1.2.3", Unspecified),
        ("::", Unspecified),
        ("169.254.1.1", LinkLocal),
        ("fe80::1", LinkLocal),
        ("febf::1", LinkLocal),
        ("169.254.169.254", Metadata),
        ("169.254.170.2", Metadata),
        ("100.100.100.200", Metadata),
        ("168.63.129.16", Metadata),
        ("192.0.0.192", Metadata),
        ("fd00:ec2::254", Metadata),
        ("fd20:ce::254", Metadata),
        ("224.0.0.1", Multicast),
        ("239.255.255.255", Multicast),
        ("ff02::1", Multicast),
        ("255.255.255.255", Broadcast),
        ("240.0.0.1", Broadcast),
        ("203.0.113.7", Own),
        // The same in IPv6's clothes.
        ("::ffff:127.0.0.1", Loopback),
        ("::ffff:169.254.169.254", Metadata),
        ("::127.0.0.1", Loopback),
        ("::169.254.169.254", Metadata),
        ("::ffff:0:127.0.0.1", Loopback),
        ("64:ff9b::169.254.169.254", Metadata),
        ("64:ff9b::7f00:1", Loopback),
        ("64:ff9b:1::a9fe:a9fe", Metadata),
        ("64:ff9b:1:a9fe:a9:fe00::", Metadata),
        ("2002:7f00:1::", Loopback),
        ("2002:a9fe:a9fe::1", Metadata),
        ("2001:0:a9fe:a9fe::", Metadata),
        ("2001:0:808:808:0:0:80ff:fffe", Loopback),
        ("fe80::5efe:10.0.0.1", LinkLocal),
        ("2001:db8::5efe:127.0.0.1", Loopback),
        ("2001:db8::200:5efe:169.254.169.254", Metadata),
        ("2002:cb00:7107::1", Own),
    ] {
        assert_eq!(why(&networks, ip), Some(wanted), "{ip}");
    }
}

#[test]
fn what_devices_have_is_connected_to() {
    let networks = networks(&[]);
    for ip in [
        "10.0.0.5",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "8.8.8.8",
        "203.0.113.8",
        "fd12:3456::1",
        "2001:db8::1",
        "::ffff:10.0.0.5",
        "64:ff9b::10.0.0.5",
        "64:ff9b:1::10.0.0.5",
        "2002:808:808::1",
    ] {
        assert_eq!(why(&networks, ip), None, "{ip}");
    }
}

#[test]
fn exceptions_are_exactly_what_is_named() {
    let networks = networks(&["127.0.0.0/30", "169.254.0.0/16", "203.0.113.7", "64:ff9b::/96"]);
    for (ip, wanted) in [
        ("127.0.0.1", None),
        ("::ffff:127.0.0.1", None),
        ("64:ff9b::127.0.0.1", None),
        ("127.0.0.4", Some(Why::Loopback)),
        ("::1", Some(Why::Loopback)),
        ("169.254.7.7", None),
        // A network that has it is no exception for it.
        ("169.254.169.254", Some(Why::Metadata)),
        ("203.0.113.7", None),
        // What is named is the gateway, not what is behind it.
        ("64:ff9b::224.0.0.1", Some(Why::Multicast)),
    ] {
        assert_eq!(why(&networks, ip), wanted, "{ip}");
    }
    let by_itself = self::networks(&["169.254.169.254/32"]);
    assert_eq!(why(&by_itself, "169.254.169.254"), None);
    let whole = self::networks(&["::/0"]);
    assert_eq!(why(&whole, "::1"), None);
    assert_eq!(why(&whole, "64:ff9b::127.0.0.1"), Some(Why::Loopback), "an IPv4 address");
}

#[test]
fn names_that_say_what_they_are_are_refused_unseen() {
    let judge = |allow: &[&str], address: &str| {
        let address: Address = address.parse().unwrap();
        networks(allow).judge_written(&address).err().map(|refusal| refusal.why)
    };
    for (address, wanted) in [
        ("http://localhost:9", Some(Why::Loopback)),
        ("http://a.LOCALHOST./x", Some(Why::Loopback)),
        ("http://Metadata.Google.Internal", Some(Why::Metadata)),
        ("http://metadata.google.internal.", Some(Why::Metadata)),
        ("http://[::1]:80", Some(Why::Loopback)),
        ("https://[::ffff:169.254.169.254]", Some(Why::Metadata)),
        ("http://localhost.example.com", None),
        ("http://till-1.stores.example", None),
    ] {
        assert_eq!(judge(&[], address), wanted, "{address}");
    }
    assert_eq!(judge(&["127.0.0.0/8"], "http://localhost:9"), None);
}

#[test]
fn networks_are_read_exactly() {
    for (text, shown) in [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("fe80::/10", "fe80::/10"),
        ("2001:DB8::1", "2001:db8::1/128"),
    ] {
        assert_eq!(text.parse::<Network>().unwrap().to_string(), shown);
    }
    for text in ["", "x", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.1/8", "::/129", "10/8"]
    {
        assert!(text.parse::<Network>().is_err(), "{text:?} was taken");
    }
    let told = "10.0.0.1/8".parse::<Network>().unwrap_err().to_string();
    assert_eq!(told, "\"10.0.0.1/8\" is no network: with these bits it is 10.0.0.0/8");
}

#[test]
fn this_machine_knows_its_own_addresses() {
    assert!(is_routed_to_itself("127.0.0.1".parse().unwrap()).unwrap());
    assert!(!is_routed_to_itself("192.0.2.1".parse().unwrap()).unwrap_or(false));
}

fn any_ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
    ]
}

proptest! {
    /// An IPv4 address is judged alike however it is written into an IPv6 address.
    #[test]
    fn clothes_change_nothing(bits in any::<u32>()) {
        let networks = networks(&[]);
        let v4 = Ipv4Addr::from_bits(bits);
        let wanted = networks.judge(IpAddr::V4(v4)).err().map(|refusal| refusal.why);
        let (high, low) = ((bits >> 16) as u16, bits as u16);
        for v6 in [
            v4.to_ipv6_mapped(),
            Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0x5efe, high, low),
        ] {
            let why = networks.judge(IpAddr::V6(v6)).err().map(|refusal| refusal.why);
            prop_assert_eq!(why, wanted, "{}", v6);
        }
    }

    /// A network has what its text says, and its text reads back.
    #[test]
    fn networks_hold_what_begins_alike(ip in any_ip(), other in any_ip(), bits in 0u8..=128) {
        let bits = bits.min(width(ip));
        let network = Network { address: masked(ip, bits), bits };
        prop_assert!(network.contains(ip));
        prop_assert_eq!(network.to_string().parse::<Network>(), Ok(network));
        let begins_alike = ip.is_ipv4() == other.is_ipv4() && masked(other, bits) == masked(ip, bits);
        prop_assert_eq!(network.contains(other), begins_alike);
    }

    /// What an exception does not name is judged as without it.
    #[test]
    fn an_exception_opens_nothing_else(ip in any_ip(), named in any_ip(), bits in 0u8..=128) {
        let bits = bits.min(width(named));
        let network = Network { address: masked(named, bits), bits };
        let with = Networks::new(vec![network], Own::Fixed(vec![]));
        let without = Networks::new(vec![], Own::Fixed(vec![]));
        if with.judge(ip) != without.judge(ip) {
            prop_assert!(forms(ip).any(|form| network.contains(form)));
        }
    }

    /// No text makes it panic.
    #[test]
    fn any_text_is_a_network_or_none(text in ".{0,60}") {
        let _ = text.parse::<Network>();
        let _ = networks(&[]).judge_name(&text);
    }
}
