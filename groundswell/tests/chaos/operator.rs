//! Somebody at the command line: what was wanted, when, and whether it was acknowledged.

use std::{fs, process::Stdio, time::Duration};

use anyhow::{Result, ensure};
use groundswell::{
    clock::Clock,
    core::{
        rollout::{Act, PauseReason, State as Stands},
        time::Time,
    },
    operate::State,
    store::{RolloutRecord, Store, Which},
};

use crate::{
    dice::Dice,
    ground::{Ground, pause},
};

/// An act that was acknowledged: it must be in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) rollout: i64,
    pub(crate) act: Act,
    pub(crate) asked_at: Time,
    pub(crate) told_at: Time,
}

pub(crate) struct Operator<'a> {
    ground: &'a Ground,
    dice: Dice,
    pub(crate) acknowledged: Vec<Acknowledged>,
    /// Rollouts whose creation was acknowledged.
    pub(crate) created: Vec<i64>,
    pub(crate) acts: u32,
    pub(crate) killed: u32,
}

impl<'a> Operator<'a> {
    pub(crate) fn new(ground: &'a Ground, dice: Dice) -> Self {
        let (acknowledged, created) = (vec![], vec![]);
        Self { ground, dice, acknowledged, created, acts: 0, killed: 0 }
    }

    /// Runs a command; what it ends with must be one of what it says that it ends with.
    fn ask(&self, args: &[&str]) -> Result<(bool, String)> {
        let (code, said) = self.ground.ask(args)?;
        let is_known = matches!(code, Some(0 | 2 | 3)) && !said.contains("panicked");
        ensure!(is_known, "groundswell {args:?} ended with {code:?}: {said}");
        Ok((code == Some(0), said))
    }

    /// Writes a rollout down, however often that takes, and starts it.
    pub(crate) fn create(&mut self, spec: &str) -> Result<()> {
        fs::write(self.ground.path("spec.toml"), spec)?;
        for _ in 0..50 {
            let create = ["rollout", "create", "spec.toml", "--output", "json"];
            let (is_done, said) = self.ask(&create)?;
            ensure!(is_done || !said.contains("mistake"), "{spec}\n{said}");
            let created: Option<serde_json::Value> =
                said.find('{').and_then(|at| serde_json::from_str(&said[at..]).ok());
            let number = created.and_then(|created| created["number"].as_i64());
            if let (true, Some(number)) = (is_done, number) {
                self.created.push(number);
                self.act(number, Act::Start)?;
                return Ok(());
            }
            ensure!(!is_done, "what was created says {said}");
            pause(Duration::from_millis(200))?;
        }
        anyhow::bail!("a rollout cannot be created")
    }

    /// Says what is wanted, and whether that was acknowledged.
    pub(crate) fn act(&mut self, rollout: i64, act: Act) -> Result<bool> {
        self.acts += 1;
        let asked_at = Clock::System.now();
        let number = rollout.to_string();
        let args = ["rollout", act.as_str(), &number, "--output", "json"];
        let (is_done, said) = self.ask(&args)?;
        let told_at = Clock::System.now();
        // What had been done before changes nothing and need not be written down.
        if is_done && said.contains("\"already\": null") {
            self.acknowledged.push(Acknowledged { rollout, act, asked_at, told_at });
        }
        Ok(is_done)
    }

    /// Wants something, sensible or not. Now and then the command does not live to see it.
    pub(crate) fn act_somehow(&mut self) -> Result<()> {
        const ACTS: [Act; 12] = [
            Act::Start,
            Act::Pause,
            Act::Pause,
            Act::Resume,
            Act::Resume,
            Act::Resume,
            Act::Advance,
            Act::Advance,
            Act::Retry,
            Act::Retry,
            Act::Cancel,
            Act::Abort,
        ];
        if self.created.is_empty() {
            return Ok(());
        }
        let mut act = *self.dice.pick(&ACTS);
        let is_for_good = matches!(act, Act::Cancel | Act::Abort);
        // What is given up is given up: most of it comes late.
        if is_for_good && self.dice.percent(60) {
            act = Act::Pause;
        }
        let rollout = *self.dice.pick(&self.created);
        if self.dice.percent(25) {
            return self.act_and_die(rollout, act);
        }
        self.act(rollout, act)?;
        if act == Act::Pause && self.dice.percent(70) {
            pause(Duration::from_millis(self.dice.range(0, 1_500)))?;
            self.act(rollout, Act::Resume)?;
        }
        Ok(())
    }

    fn act_and_die(&mut self, rollout: i64, act: Act) -> Result<()> {
        let number = rollout.to_string();
        let mut command = self.ground.command(&["rollout", act.as_str(), &number]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let waited = pause(Duration::from_millis(self.dice.range(0, 60)));
        child.kill()?;
        child.wait()?;
        self.killed += 1;
        waited
    }

    /// Copies the state; whether there was room for it.
    pub(crate) fn back_up(&self, number: u32) -> Result<bool> {
        let name = format!("backup-{number}.db");
        Ok(self.ask(&["state", "backup", &name])?.0)
    }

    /// Looks after what waits for somebody, once nothing goes wrong any more. Returns those that
    /// have not ended.
    pub(crate) fn look_after(&mut self) -> Result<Vec<RolloutRecord>> {
        let store = open(self.ground)?;
        let unended = store.rollouts(Which::Unended)?;
        for record in &unended {
            let number = record.key.0;
            match record.progression.state {
                Stands::Draft => drop(self.act(number, Act::Start)?),
                Stands::Paused => {
                    let paused = &record.progression.paused;
                    if paused.contains(&PauseReason::Operator) {
                        self.act(number, Act::Resume)?;
                    }
                    if paused.contains(&PauseReason::Gate) || paused.contains(&PauseReason::Brake) {
                        self.act(number, Act::Advance)?;
                    }
                }
                _ => {}
            }
        }
        Ok(unended)
    }

    /// Devices that are open and do not say why, of what has not ended.
    pub(crate) fn without_reason(&self, unended: &[RolloutRecord]) -> Result<Vec<String>> {
        let state = State::look(&self.ground.state())?;
        let mut silent = vec![];
        for record in unended {
            let overview = state.overview(record, 0.0, Clock::System.now())?;
            if overview.waiting_on.is_empty() && overview.counts.active() == 0 {
                silent.push(format!(
                    "rollout {} is {} and says not why",
                    record.key.0, overview.state
                ));
            }
        }
        Ok(silent)
    }
}

/// The store, as another process opens it to look.
pub(crate) fn open(ground: &Ground) -> Result<groundswell::store::SqliteStore> {
    let path = groundswell::store::dir::database(&ground.state());
    let store = groundswell::store::SqliteStore::open_to_read(&path)?;
    store.ok_or_else(|| anyhow::anyhow!("there is no state"))
}
