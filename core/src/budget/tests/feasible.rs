//! What is said of budgets by which a rollout could never go.

use super::*;

fn count(value: &str, devices: u32, chosen: u32) -> DomainCount {
    let value = (value != "none").then(|| value.to_owned());
    DomainCount { value, devices, chosen }
}

fn budget(key: &str, limit: Limit) -> Budget {
    Budget { per: per(key), limit, counts_down: false }
}

fn told(budgets: &[Budget], counts: &[Vec<DomainCount>]) -> String {
    let problems = unmeetable(budgets, counts);
    let line = |problem: &Problem| {
        let kind = if problem.is_error() { "error" } else { "warning" };
        format!("{kind}: {problem}")
    };
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn all_of_them_in_words() {
    let budgets = [
        budget("store", Limit::Max(1)),
        budget("region", Limit::Percent(2)),
        budget("zone", Limit::Percent(3)),
        budget("pair", Limit::Max(2)),
        budget("opened in", Limit::Max(1)),
        budget("rack", Limit::Percent(100)),
    ];
    let counts = [
        vec![count("0042", 3, 3), count("none", 700, 600), count("0043", 597, 597)],
        vec![
            count("south", 120, 100),
            count("west", 40, 9),
            count("east", 40, 1),
            count("x", 9, 0),
        ],
        vec![count("a", 33, 33), count("b", 34, 34)],
        vec![count("1", 2, 2), count("2", 2, 1), count("3", 5, 0)],
        vec![count("2024", 2, 1), count("none", 2, 1)],
        vec![count("a", 1, 1)],
    ];
    insta::assert_snapshot!(told(&budgets, &counts), @r#"
    error: budgets[1].per: 600 of the 1200 devices chosen have no tag.store, and count as one domain: they would go as if they were one group; give them the tag, choose others, or leave this budget out
    error: budgets[2].max_percent: 2 % of the 40 devices of tag.region=east is less than one, so none of them could ever be sent to (and so in 1 more domain); write max = 1, or max_percent = 3 or more
    error: budgets[3].max_percent: 3 % of the 33 devices of tag.zone=a is less than one, so none of them could ever be sent to; write max = 1, or max_percent = 4 or more
    warning: budgets[4]: never holds anything back, because no domain of tag.pair has more than 2 devices; write a lower limit, or leave this budget out
    error: budgets[5].per: 1 of the 2 devices chosen have no tag."opened in", and count as one domain: they would go as if they were one group; give them the tag, choose others, or leave this budget out
    warning: budgets[6]: never holds anything back, because no domain of tag.rack has more than 1 device; write a lower limit, or leave this budget out
    "#);
}

#[test]
fn where_the_lines_are() {
    let kinds = |limit, counts: &[DomainCount]| {
        let problems = unmeetable(&[budget("a", limit)], &[counts.to_vec()]);
        let name = |problem: &Problem| match problem {
            Problem::NoRoom { .. } => "no room",
            Problem::MostLack { .. } => "most lack",
            Problem::SomeLack { .. } => "some lack",
            Problem::NeverBites { .. } => "never bites",
        };
        problems.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    let max = Limit::Max(1);
    // Half is too many, one fewer is not.
    assert_eq!(kinds(max, &[count("none", 5, 5), count("x", 5, 5)]), "most lack");
    assert_eq!(kinds(max, &[count("none", 4, 4), count("x", 5, 5)]), "some lack");
    assert_eq!(kinds(max, &[count("none", 9, 0), count("x", 5, 5)]), "");
    // Those who are not chosen do not matter, but in the size of a domain.
    assert_eq!(kinds(Limit::Percent(2), &[count("x", 49, 1)]), "no room");
    assert_eq!(kinds(Limit::Percent(2), &[count("x", 50, 1)]), "");
    assert_eq!(kinds(Limit::Percent(2), &[count("x", 49, 0)]), "");
    assert_eq!(kinds(Limit::Percent(50), &[count("none", 1, 1)]), "no room, most lack");
    assert_eq!(kinds(Limit::Max(2), &[count("x", 2, 1), count("y", 1, 1)]), "never bites");
    assert_eq!(kinds(Limit::Max(2), &[count("x", 2, 1), count("y", 3, 1)]), "");
    assert_eq!(kinds(max, &[]), "");
}

#[test]
fn a_tag_that_nobody_has_may_be_mistyped() {
    let counts = [vec![count("none", 10, 10)]];
    let told = |key: &str, keys: &[&str]| {
        let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
        let mut problems = unmeetable(&[budget(key, Limit::Max(1))], &counts);
        for problem in &mut problems {
            problem.mean(&keys);
        }
        problems[0].to_string()
    };
    let meant = "budgets[1].per: no device of the inventory has tag.Store; did you mean tag.store?";
    assert_eq!(told("Store", &["region", "store"]), meant);
    assert!(told("Store", &["region"]).contains("10 of the 10 devices chosen have no tag.Store"));
    // Those that are chosen lack it, others have it: that is no slip.
    assert!(told("store", &["stores", "store"]).contains("have no tag.store"));
    let some = [vec![count("none", 9, 9), count("1", 1, 1)]];
    let mut problem = unmeetable(&[budget("Store", Limit::Max(1))], &some).remove(0);
    problem.mean(&["store".to_owned()]);
    assert!(problem.to_string().contains("9 of the 10 devices"), "{problem}");
}
