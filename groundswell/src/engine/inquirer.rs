//! Carries out what is asked of servers behind external gates, one question per check at a time.
//!
//! A question is a task of its own that ends within its time-out; nothing that sends waits for it.

use groundswell_core::{
    gate::external::{Answer, TIMEOUTS},
    outcome::Fault,
};
use hashbrown::HashMap;
use tokio::{sync::mpsc, task::AbortHandle};

use super::fact::{Fact, Inquiry};
use crate::{
    causes::with_causes,
    clock::Clock,
    delivery::http::{Client, Config, Timeouts, Tls},
    inquiry::{self, Reading},
    store::RolloutKey,
};

/// Who asks.
pub(super) struct Inquirer {
    /// None where no rollout has such gates, or where nobody can be asked.
    client: Option<Client>,
    clock: Clock,
    facts: mpsc::UnboundedSender<Fact>,
    open: HashMap<(RolloutKey, usize), AbortHandle>,
    /// Whose headers were read once; they may be read still.
    reading: HashMap<(RolloutKey, usize), Reading>,
}

impl Inquirer {
    /// Asks by the trust in certificates of `http`, and by nothing else that is meant for devices:
    /// neither their headers nor our certificate, and never without a look at theirs.
    pub(super) fn new(
        http: Option<&Config>,
        clock: &Clock,
        facts: &mpsc::UnboundedSender<Fact>,
    ) -> Self {
        let client = http.and_then(|http| {
            let tls = Tls { ca_pem: http.tls.ca_pem.clone(), ..Tls::default() };
            let (clock, resolver) = (clock.clone(), http.resolver.clone());
            // The time-out of a check is for all steps together.
            let timeouts = Timeouts::all(*TIMEOUTS.end());
            let config = Config { timeouts, tls, clock, resolver, ..Config::default() };
            let client = Client::new(config);
            client
                .map_err(|error| tracing::error!("no check can be asked: {}", with_causes(&error)))
                .ok()
        });
        Self {
            client,
            clock: clock.clone(),
            facts: facts.clone(),
            open: HashMap::new(),
            reading: HashMap::new(),
        }
    }

    /// Asks, and tells what came of it as a fact. A question of the same check that is open ends.
    pub(super) fn ask(&mut self, rollout: RolloutKey, inquiry: Inquiry) {
        let Inquiry { ticket, check } = inquiry;
        let (client, clock, facts) = (self.client.clone(), self.clock.clone(), self.facts.clone());
        let reading = self.reading.entry((rollout, ticket.gate)).or_default().clone();
        let asked = tokio::spawn(async move {
            let answer = match &client {
                Some(client) => inquiry::ask(client, &clock, &check, &reading).await,
                None => Answer::Silent(Fault::LocalExhausted),
            };
            // Whoever asked may be gone.
            let _ = facts.send(Fact::Checked(rollout, ticket, answer));
        });
        if let Some(before) = self.open.insert((rollout, ticket.gate), asked.abort_handle()) {
            before.abort();
        }
    }

    /// Nobody waits for answers to this rollout any more.
    pub(super) fn close(&mut self, rollout: RolloutKey) {
        self.open.retain(|(of, _), asked| {
            let is_kept = *of != rollout;
            if !is_kept {
                asked.abort();
            }
            is_kept
        });
        // What hangs goes on hanging, whoever asks next.
        self.reading.retain(|(of, _), reading| *of != rollout || reading.is_pending());
    }
}

impl Drop for Inquirer {
    fn drop(&mut self) {
        self.open.values().for_each(AbortHandle::abort);
    }
}
