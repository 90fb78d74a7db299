-- Devices, releases, rollouts, one assignment per device and round, and the log.
-- Times are milliseconds since the Unix epoch, intervals are seconds. States of assignments are the
-- codes of rows.rs.

CREATE TABLE driver (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL,
    -- Sha-256 of what was last taken over from the reserve.
    kept TEXT,
    -- In a copy: the last rollout that was there when it was made. What became of it since is not known.
    copied_to INTEGER
);
INSERT INTO driver (one, epoch) VALUES (1, 0);

CREATE TABLE device (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    address TEXT,
    update_path TEXT,
    location TEXT,
    time_zone TEXT,
    check_in_secs INTEGER,
    -- A JSON object; the table tag has the same, to be searched.
    tags TEXT NOT NULL
);
CREATE INDEX device_location ON device (location) WHERE location IS NOT NULL;
CREATE INDEX device_time_zone ON device (time_zone) WHERE time_zone IS NOT NULL;
-- The shortest of all, without a look at every device.
CREATE INDEX device_check_in ON device (check_in_secs) WHERE check_in_secs IS NOT NULL;

-- Apart and narrow, because it changes with every contact. No row: never seen, no version known.
CREATE TABLE seen (
    device INTEGER PRIMARY KEY REFERENCES device (key),
    at INTEGER,
    version TEXT,
    -- Sorts as versions do: VersionKey of the core.
    version_key BLOB
);
CREATE INDEX seen_version ON seen (version_key) WHERE version_key IS NOT NULL;
CREATE INDEX seen_at ON seen (at) WHERE at IS NOT NULL;

CREATE TABLE tag (
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    device INTEGER NOT NULL REFERENCES device (key),
    PRIMARY KEY (key, value, device)
) WITHOUT ROWID;
CREATE INDEX tag_device ON tag (device);

CREATE TABLE release (
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    artifact TEXT NOT NULL,
    artifact_bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (name, version)
) WITHOUT ROWID;

CREATE TABLE rollout (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    -- What makes a push the same push; other rollouts have none.
    identity BLOB,
    state TEXT NOT NULL,
    progression TEXT NOT NULL,
    spec TEXT NOT NULL,
    devices INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    -- Where its log begins: rows before this one were pruned, and are being taken away.
    log_from INTEGER NOT NULL DEFAULT 0,
    -- What its driver last said of it: what it waits for, and how fast it goes.
    told TEXT,
    -- The rollout that it rolls back.
    rolls_back INTEGER REFERENCES rollout (key)
);
CREATE INDEX rollout_rolls_back ON rollout (rolls_back) WHERE rolls_back IS NOT NULL;
CREATE INDEX rollout_identity ON rollout (identity);

-- The devices of one wave of a round whose hours are judged in one zone ('' if none are), counted
-- in step with every commit.
CREATE TABLE cohort (
    key INTEGER PRIMARY KEY,
    rollout INTEGER NOT NULL REFERENCES rollout (key),
    round INTEGER NOT NULL,
    wave INTEGER NOT NULL,
    zone TEXT NOT NULL,
    counts TEXT NOT NULL,
    UNIQUE (rollout, round, wave, zone)
);

CREATE TABLE assignment (
    id INTEGER PRIMARY KEY,
    rollout INTEGER NOT NULL REFERENCES rollout (key),
    cohort INTEGER NOT NULL REFERENCES cohort (key),
    device INTEGER NOT NULL REFERENCES device (key),
    state INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    in_doubt INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    away_since INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
);
-- Every device has at most one active assignment, whatever the program believes.
-- These compare, because a list would be made into a table whenever a row changes.
CREATE UNIQUE INDEX assignment_active ON assignment (device) WHERE state > 0 AND state < 4;
-- A cohort's rows in order: what is read from the queue. It never changes with a state.
CREATE INDEX assignment_cohort ON assignment (cohort);
-- By the rollout, too: a device has had many, and one of them is looked for.
CREATE INDEX assignment_device ON assignment (device, rollout);
-- Those that failed, or were left as they were, with the release not on them: few, and asked for.
CREATE INDEX assignment_short ON assignment (cohort, state)
    WHERE state > 19 AND state <> 40 AND state <> 50;
-- Not there: when to look again, and who waits for a device that calls.
CREATE INDEX assignment_due ON assignment (rollout, due_at, id) WHERE state IN (4, 5);
CREATE INDEX assignment_waiting ON assignment (device) WHERE state IN (4, 5);

-- Devices that failed, or were given up while they were under way, and were not seen to be well since:
-- they keep their slots in their failure domains.
CREATE TABLE failed_device (
    device INTEGER PRIMARY KEY REFERENCES device (key),
    assignment INTEGER NOT NULL,
    at INTEGER NOT NULL
);

-- Devices that were updated and found not to be well while their wave soaked, and what they said.
CREATE TABLE regressed (
    assignment INTEGER PRIMARY KEY REFERENCES assignment (id),
    cohort INTEGER NOT NULL REFERENCES cohort (key),
    at INTEGER NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX regressed_cohort ON regressed (cohort);

-- Rollouts that a device failed since it last took one well or was released: after so many it is left
-- out. Rows only for devices that failed; a new round of the same rollout is the same one.
CREATE TABLE failed_rollout (
    device INTEGER NOT NULL REFERENCES device (key),
    rollout INTEGER NOT NULL REFERENCES rollout (key),
    at INTEGER NOT NULL,
    PRIMARY KEY (device, rollout)
) WITHOUT ROWID;

-- Devices of which operators said that they may take part again, how many rollouts they had failed by
-- then, and why.
CREATE TABLE device_release (
    seq INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES device (key),
    rollouts INTEGER NOT NULL,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX device_release_device ON device_release (device);

-- Slots that operators released, and why. Each holds for what the device had failed in then.
CREATE TABLE slot_release (
    seq INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES device (key),
    assignment INTEGER NOT NULL,
    domain TEXT NOT NULL,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX slot_release_device ON slot_release (device);

-- Why an assignment is where it is; most have nothing to say.
CREATE TABLE detail (
    assignment INTEGER PRIMARY KEY REFERENCES assignment (id),
    text TEXT NOT NULL
);

-- What a device was known to run before an assignment changed it, as far as that is another version
-- than the release's: where it goes back to when its rollout is rolled back. Not of a push. No row:
-- not begun, or nothing was known.
CREATE TABLE ran_before (
    assignment INTEGER PRIMARY KEY REFERENCES assignment (id),
    version TEXT NOT NULL
);

-- One row for each commit: what changed, in the order in which it happened.
CREATE TABLE log (
    seq INTEGER PRIMARY KEY,
    rollout INTEGER NOT NULL REFERENCES rollout (key),
    at INTEGER NOT NULL,
    -- JSON: a list of the core's records.
    body TEXT NOT NULL
);
CREATE INDEX log_rollout ON log (rollout, seq);

-- What operators and others want of the driver, and what it answered.
CREATE TABLE intent (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,
    answer TEXT
);
CREATE INDEX intent_open ON intent (seq) WHERE answer IS NULL;

-- Devices that were written while a rollout went on to which that may matter, until its driver has
-- dealt with them. One that is written again gets a new number.
CREATE TABLE changed_device (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    device INTEGER NOT NULL UNIQUE REFERENCES device (key)
);
