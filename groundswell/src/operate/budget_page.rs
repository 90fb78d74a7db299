//! A page of failure domains, as somebody sees them who is limited to a part of the fleet.

use groundswell_core::{
    budget::{Domain, Limit, Per},
    time::Time,
};
use hashbrown::{HashMap, HashSet};

use super::{DomainView, LimitView, OperateError, State, budgets::domains};
use crate::{
    access::Scope,
    store::{Store, StoreError, Which},
};

/// Devices out of order that a page names of each domain.
pub const HOLDERS_SHOWN: usize = 100;

impl State {
    /// At most `limit` of them behind a domain, as somebody sees them who sees the devices and the
    /// rollouts of a scope, and the domain behind which there are more.
    ///
    /// # Errors
    /// [`OperateError::Domain`] if `after` names none; otherwise [`OperateError::Store`].
    pub fn budget_page(
        &self,
        after: Option<&str>,
        limit: usize,
        scope: Option<&Scope>,
        now: Time,
    ) -> Result<(Vec<DomainView>, Option<String>), OperateError> {
        let after: Option<Domain> = after.map(str::parse).transpose()?;
        let (mut hidden, mut shares) = (HashSet::new(), HashSet::new());
        if scope.is_some() {
            for record in self.store.rollouts(Which::Unended)? {
                if !self.is_in_scope(&record, scope)? {
                    hidden.insert(record.key.0);
                }
                let budgets = record.spec.budgets.into_iter();
                let of_share = budgets.filter(|budget| matches!(budget.limit, Limit::Percent(_)));
                shares.extend(of_share.map(|budget| (budget.per, record.key.0)));
            }
        }
        let (mut page, mut is_more) = (vec![], false);
        self.store.at_once(&mut |store| {
            let all = domains(store, now)?.into_iter();
            let mut sizes = HashMap::new();
            for (domain, view) in all.filter(|(domain, _)| Some(domain) > after.as_ref()) {
                let view = match scope {
                    Some(scope) => {
                        let mut narrow = Narrow { store, scope, now, sizes: &mut sizes };
                        narrow.view(&domain, view)?
                    }
                    None => Some(view),
                };
                let Some(mut view) = view else { continue };
                view.limits.retain(|limit| !hidden.contains(&limit.rollout));
                if page.len() == limit {
                    is_more = true;
                    break;
                }
                page.push((domain, shortened(view)));
            }
            Ok(())
        })?;
        let page = page.into_iter().map(|(domain, mut view)| {
            // Of how many devices it is a share would follow from it.
            let is_share =
                |limit: &LimitView| shares.contains(&(domain.per.clone(), limit.rollout));
            if view.limits.iter().any(is_share) && !self.sees_all_of(&domain)? {
                view.limits.retain(|limit| !is_share(limit));
            }
            Ok(view)
        });
        let page: Vec<DomainView> = page.collect::<Result<_, OperateError>>()?;
        let next = page.last().filter(|_| is_more).map(|last: &DomainView| last.domain.clone());
        Ok((page, next))
    }
}

/// With no more holders than a page names.
fn shortened(mut view: DomainView) -> DomainView {
    view.more_holders = view.holders.len().saturating_sub(HOLDERS_SHOWN) as u32;
    view.holders.truncate(HOLDERS_SHOWN);
    view
}

/// What somebody sees of a domain who sees only the devices of a scope.
struct Narrow<'a> {
    store: &'a dyn Store,
    scope: &'a Scope,
    now: Time,
    /// How many devices of the scope are in each domain of a kind.
    sizes: &'a mut HashMap<Per, HashMap<Option<String>, u32>>,
}

impl Narrow<'_> {
    /// None if nobody who is seen is out of order there.
    fn view(
        &mut self,
        domain: &Domain,
        view: DomainView,
    ) -> Result<Option<DomainView>, StoreError> {
        let mut holders = vec![];
        for holder in view.holders {
            let device = self.store.device(&holder.device)?;
            if device.is_some_and(|device| self.scope.contains(&device)) {
                holders.push(holder);
            }
        }
        if holders.is_empty() {
            return Ok(None);
        }
        let devices = self.size(domain)?;
        Ok(Some(DomainView { devices, holders, ..view }))
    }

    fn size(&mut self, domain: &Domain) -> Result<u32, StoreError> {
        if !self.sizes.contains_key(&domain.per) {
            let scope = Some(self.scope.selector());
            let counts = self.store.chosen_domains(&domain.per, scope, self.now)?.into_iter();
            let counts = counts.map(|count| (count.value, count.chosen)).collect();
            self.sizes.insert(domain.per.clone(), counts);
        }
        let sizes = self.sizes.get(&domain.per);
        Ok(sizes.and_then(|sizes| sizes.get(&domain.value)).copied().unwrap_or(0))
    }
}
