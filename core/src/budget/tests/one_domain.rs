//! With one budget for each rollout every decision is that of a list which is gone through from its
//! beginning, also after a restart.

use proptest::prelude::*;

use super::{
    model::{Happening, Model, Wish, budgets, domain_of, happenings},
    random::World,
    *,
};

/// Who goes, oldest first: whoever has room, unless somebody older waits who can hope to.
fn naive_claims(model: &mut Model) -> Vec<Wish> {
    let mut claims = vec![];
    while let Some(wish) = naive_next(model) {
        model.claim(wish);
        claims.push(wish);
    }
    claims
}

fn naive_next(model: &Model) -> Option<Wish> {
    let mut closed = vec![];
    for wish @ (_, device) in model.parked.iter().copied() {
        let places = model.places(wish);
        let [place] = &places[..] else { continue };
        if model.under_way.contains(&device) || closed.contains(&place.domain) {
            continue;
        }
        if model.has_room(device, place) {
            return Some(wish);
        }
        if !model.is_stuck(device, place) {
            closed.push(Arc::clone(&place.domain));
        }
    }
    None
}

/// Claims by domain; those of different domains have no order.
fn by_domain(claims: &[Wish], per: &Per) -> Vec<(Arc<Domain>, Wish)> {
    let mut claims: Vec<_> = claims.iter().map(|wish| (domain_of(wish.1, per), *wish)).collect();
    claims.sort_by(|(one, _), (other, _)| one.cmp(other));
    claims
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: 500, ..ProptestConfig::default()
    })]

    #[test]
    fn as_a_list_says(budgets in budgets(&["region"]), happenings in happenings()) {
        let per = per("region");
        let mut world = World::new(budgets);
        for happening in &happenings {
            let mut model = world.model.clone();
            if let Happening::Admit { rollout, device } = *happening
                && !model.budgets[rollout as usize].is_empty()
                && !model.parked.contains(&(rollout, device))
            {
                model.parked.push((rollout, device));
            }
            world.claims.clear();
            world.happens(happening);
            if matches!(happening, Happening::Admit { .. } | Happening::Restart) {
                // Nothing was freed: only the newcomer may go, and a restart changes nothing.
                prop_assert_eq!(&world.claims, &naive_claims(&mut model));
            }
            let mut model = world.model.clone();
            world.claims.clear();
            world.wake(usize::MAX);
            let naive = naive_claims(&mut model);
            prop_assert_eq!(by_domain(&world.claims, &per), by_domain(&naive, &per));
        }
    }
}
