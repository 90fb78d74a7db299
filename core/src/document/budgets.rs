//! The budgets of failure domains.

use super::{
    Tree,
    reader::{Field, Table},
};
use crate::{
    budget::{BUDGETS_MAX, Budget, Limit, Per, repeated},
    hours::echo,
    rollout::SpecError,
};

/// Budgets that were read. Two of the same kind of domain are told whatever else is wrong.
pub(super) fn budgets(table: &Table<'_>) -> Vec<Budget> {
    let Some(field) = table.field("budgets") else { return vec![] };
    if let Tree::Text(text) = field.tree() {
        field.refuse_kind("a list", &format!("[{{ per = \"{}\", max = 1 }}]", echo(text)));
        return vec![];
    }
    let fields = field.list();
    if fields.len() > BUDGETS_MAX {
        table.refuse_spec(&SpecError::TooManyBudgets(fields.len()));
        return vec![];
    }
    let budgets: Vec<(usize, Budget)> = fields
        .iter()
        .enumerate()
        .filter_map(|(index, field)| Some((index, budget(field)?)))
        .collect();
    for fault in repeated(budgets.iter().map(|(index, budget)| (*index, &budget.per))) {
        table.refuse_spec(&fault);
    }
    budgets.into_iter().map(|(_, budget)| budget).collect()
}

fn budget(field: &Field<'_>) -> Option<Budget> {
    let table = field.table("budgets")?;
    let per = table.required("per", "tag.store").and_then(|field| field.parsed::<Per>("tag.store"));
    // Where the limit could not be read that is told, and nobody sees the one in its place.
    let limit = limit(&table).unwrap_or(Limit::Max(1));
    let counts_down = table.field("count_down").and_then(|field| field.bool()).unwrap_or(false);
    Some(Budget { per: per?, limit, counts_down })
}

/// Exactly one of the two fields that say how many devices.
fn limit(table: &Table<'_>) -> Option<Limit> {
    match (table.field("max"), table.field("max_percent")) {
        (Some(max), None) => max.whole(1..=u32::MAX).map(Limit::Max),
        (None, Some(percent)) => percent.percentage(1..=100).map(Limit::Percent),
        (None, None) => {
            table.refuse("says no limit; write max = 1, or max_percent = 2");
            None
        }
        (Some(_), Some(_)) => {
            table.refuse("has both max and max_percent; keep one");
            None
        }
    }
}
