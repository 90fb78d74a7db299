//! What comes of rollouts whose artifacts are read for long.

use std::{fs, io::Write};

use groundswell_core::{
    device::Device,
    ids::{Epoch, RolloutId},
    release::Release,
    rollout::{self, Spec},
};

use super::*;
use crate::{
    artifacts::store::hash,
    delivery::http::Config,
    engine::{
        fact::Opening,
        step::{GATHER, Manner},
        takeover::take,
    },
    store::{CohortName, writer::do_job},
};

const NOW: Time = Time::from_millis(1_000);

/// Of which single deliveries tell how far they are.
const ARTIFACT_BYTES: usize = 1 << 20;

/// A rollout to one device, whose artifact is there.
fn scheduled(store: &mut SqliteStore, dir: &StateDir) -> RolloutKey {
    fs::create_dir_all(dir.artifacts()).unwrap();
    let file = dir.artifacts().join("file");
    fs::File::create(&file).unwrap().write_all(&vec![7; ARTIFACT_BYTES]).unwrap();
    let (artifact, artifact_bytes) = hash(fs::File::open(&file).unwrap()).unwrap();
    fs::rename(file, dir.artifacts().join(artifact.to_string())).unwrap();
    let (name, version) = ("pos".to_owned(), "2".to_owned());
    let spec = Spec::immediate(Release { name, version, artifact, artifact_bytes });
    let id = RolloutId(uuid::Uuid::from_u128(1));
    let key = store.create(id, None, &spec, NOW).unwrap();
    let address = Some("http://127.0.0.1:9".parse().unwrap());
    let device = Device { id: "d0".to_owned(), address, ..Device::default() };
    store.add_devices(key, &[CohortName { wave: 0, zone: None }], &[(&device, 0)], NOW).unwrap();
    let mut progression = store.rollout(key).unwrap().unwrap().progression;
    progression.state = rollout::State::Scheduled;
    let progression = Some(progression);
    store.commit(&Batch { progression, ..Batch::empty(key, Epoch(0), NOW) }).unwrap();
    key
}

fn run(dir: Arc<StateDir>, engine: Engine) -> (Run, mpsc::UnboundedReceiver<Opened>) {
    let (openings, opened) = mpsc::unbounded_channel();
    let outlets = Outlets::Any { artifacts: dir.artifacts(), http: Box::new(Config::default()) };
    let shell = Shell {
        outlets,
        clock: Clock::System,
        hub: Hub::default(),
        progress: None,
        stop: CancellationToken::new(),
        reserve: dir.reserve().unwrap(),
        dir,
        telemetry: Telemetry::default(),
    };
    let run = Run {
        shell,
        engine,
        facts: mpsc::unbounded_channel().0,
        inquirer: Inquirer::new(None, &Clock::System, &mpsc::unbounded_channel().0),
        outlets: HashMap::new(),
        openings,
        sent_bytes: 0,
        progress_due_at: NOW,
        ended: None,
        errors: mpsc::unbounded_channel(),
        error: None,
        kept: vec![],
        is_kept: false,
        open_deliveries: 0,
        store_jobs: 0,
    };
    (run, opened)
}

#[tokio::test]
async fn an_outlet_in_use_stays_when_another_reading_of_its_artifact_is_done() {
    let path = tempfile::tempdir().unwrap();
    let dir = Arc::new(StateDir::lock(path.path(), "run").unwrap());
    let mut store = SqliteStore::open(&dir.database()).unwrap();
    let key = scheduled(&mut store, &dir);
    let record = store.rollout(key).unwrap().unwrap();
    let opening = Opening { rollout: key, id: record.id, spec: record.spec.clone() };
    let manner = Manner { is_heard: false, gather: GATHER, in_flight_max: 8, look_every: None };
    let taken = take(&store, record).unwrap();
    let (mut run, mut opened) = run(dir, Engine::new(vec![taken], Epoch(1), manner, NOW));
    run.shell.outlets.open(opening.clone(), &run.openings);
    run.shell.outlets.open(opening, &run.openings);

    // Nothing is awaited from here to the end of the deliveries: they stay open.
    let (first, second) = (opened.recv().await.unwrap(), opened.recv().await.unwrap());
    let mut facts = vec![run.opened(first)];
    for _ in 0..20 {
        for command in run.engine.step(NOW, std::mem::take(&mut facts)) {
            match command {
                Command::Store(job) => facts.push(Fact::Store(do_job(&mut store, job))),
                Command::Send(sending) => run.outlets.get_mut(&key).unwrap().send(sending),
                _ => {}
            }
        }
    }
    assert_eq!(run.outlets[&key].device_progress().len(), 1, "it is delivered to");
    let _ = run.opened(second);
    assert_eq!(run.outlets[&key].device_progress().len(), 1, "it still is");
}
