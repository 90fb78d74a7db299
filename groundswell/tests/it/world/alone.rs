//! Acts while nobody drives: the command does itself what is asked of it, as the command line has it.

use groundswell::{
    core::{
        ids::Epoch,
        log::Record,
        rollout::{Act, State},
    },
    operate::{self, Acting, OperateError},
    store::{Batch, RolloutKey, SqliteStore, Store},
};

use super::{World, driver::database, trace::tell};

impl World {
    /// Whether nobody holds the state. A driver that stands still does; and where the disk is full
    /// nobody can do anything.
    pub(crate) const fn is_alone(&self) -> bool {
        self.driver.is_none() && self.frozen.is_none() && !self.is_disk_full()
    }

    /// Somebody does something to a rollout that nobody drives, and before that what others had asked
    /// of a driver that is gone.
    pub(crate) fn act_alone(&mut self, key: RolloutKey, act: Act) {
        self.note("operator: an act while nobody drives");
        if self.place.join("reserve").exists() {
            // What a driver kept comes first; here, so that it can be told.
            let mut store = SqliteStore::open(&database(&self.place)).unwrap();
            if !self.take_over_kept(&mut store) {
                return;
            }
        }
        let clock = self.agenda.clock();
        let logged = self.checker.rows.logged_to(key);
        let mut state = operate::State::open(&self.place).unwrap();
        let acted = state.act(key, act, clock);
        tell!(self, "{} {act} {} while nobody drives: {acted:?}", self.stamp(), key.0);
        for row in self.checker.rows.logged(key, logged) {
            let records: Vec<Record> = serde_json::from_str(&row.body).unwrap();
            let progression = records.iter().rev().find_map(|record| match record {
                Record::Stands(stands) => stands.at(row.at).after(None).ok(),
                _ => None,
            });
            let batch = Batch { records, progression, ..Batch::empty(key, Epoch(0), row.at) };
            self.committed(&batch, true);
        }
        // As drawn it could not go well: nobody starts it, but for who asks the driver.
        if let (Act::Start, Err(OperateError::Unfit { .. })) = (act, &acted) {
            return;
        }
        self.look_at_answers(key);
        match acted {
            Ok(acting) => self.look_at_acted(key, act, &acting),
            Err(OperateError::Refused { .. } | OperateError::MovedOn { .. }) => {}
            Err(error) => self.fail(&format!("{act} of rollout {} failed: {error:?}", key.0)),
        }
    }

    /// Whoever had asked before has an answer.
    fn look_at_answers(&mut self, key: RolloutKey) {
        for seq in self.checker.intents.of(key) {
            let Some(answer) = self.desk.answer_to(seq).unwrap() else {
                self.fail(&format!("intent {} was passed over while nobody drives", seq.0))
            };
            if let Err(why) = self.checker.intents.answered(&self.desk, seq, &answer) {
                self.fail(&why);
            }
        }
    }

    /// What was said of an act is so.
    fn look_at_acted(&self, key: RolloutKey, act: Act, acting: &Acting) {
        let is = self.desk.rollout(key).unwrap().unwrap().progression.state;
        let is_so = match act {
            Act::Pause => matches!(is, State::Paused | State::Preparing) || is.is_ended(),
            Act::Cancel => matches!(is, State::Canceling | State::Canceled),
            Act::Abort => matches!(is, State::Aborting | State::Aborted),
            _ => true,
        };
        let open = self.checker.open(key);
        let is_known = acting.driver.is_none() && acting.state == is && acting.open == open;
        if !is_known || !is_so && acting.already.is_none() {
            let key = key.0;
            self.fail(&format!("{act} of rollout {key}: {acting:?}, it is {is}, {open} are open"));
        }
    }
}
