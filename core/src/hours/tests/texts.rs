use super::super::*;

#[test]
fn smoke() {
    let hours = Hours { windows: vec!["02:00-04:00".parse().unwrap()], freezes: vec![] };
    let zone = Zone::parse("America/Denver").unwrap();
    println!("{:?}", hours.at(&zone, crate::time::Time::from_millis(1_790_000_000_000)));
}
