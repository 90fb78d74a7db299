-- Who may do what, and who did what.

-- Tokens of operators, devices and enrollments. The secret itself is nowhere.
CREATE TABLE token (
    id TEXT PRIMARY KEY,
    -- Sha-256 of the secret.
    hash BLOB NOT NULL,
    name TEXT NOT NULL,
    -- JSON: of which kind, and what that kind may.
    kind TEXT NOT NULL,
    -- The id of the device whose token it is.
    device TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    last_used_at INTEGER,
    -- How many devices were enrolled by it.
    uses INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX token_device ON token (device) WHERE device IS NOT NULL;
-- Those of people are few, however many devices have one.
CREATE INDEX token_people ON token (id) WHERE device IS NULL;

-- Every change that somebody made, each row chained to the one before by its hash.
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    -- JSON: who, what, before and after, from where, when.
    body TEXT NOT NULL,
    -- Sha-256 over the hash before, the number and the body.
    hash BLOB NOT NULL
);

-- The last entry of it, which is kept a second time: entries that are cut off at the end are missed.
CREATE TABLE audit_end (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL
);

-- What was created under an Idempotency-Key, so that asking again creates nothing else.
CREATE TABLE created (
    token TEXT NOT NULL,
    key TEXT NOT NULL,
    -- Sha-256 of what was asked.
    request BLOB NOT NULL,
    -- What was created, by its id.
    subject TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (token, key)
) WITHOUT ROWID;
CREATE INDEX created_at ON created (at);

-- Devices that an operator took out of the inventory. The row in `device` stays, bare, because past
-- rollouts tell of it by its name; one that is written again under its id is the same device.
CREATE TABLE removed (
    device INTEGER PRIMARY KEY REFERENCES device (key),
    at INTEGER NOT NULL
);

-- What devices said when they checked in and were not well; gone once they say that they are.
CREATE TABLE unwell (
    device INTEGER PRIMARY KEY REFERENCES device (key),
    at INTEGER NOT NULL,
    text TEXT NOT NULL
);

-- Artifacts on their way here. What has arrived of one is in a file beside the artifacts.
CREATE TABLE upload (
    id TEXT PRIMARY KEY,
    -- Sha-256 of all of it, in hex.
    digest TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    token TEXT NOT NULL,
    begun_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Whoever drove, one after the other: by a name that chance gave, and the last row of the log before. The
-- ids of events have the name, so that one of a row that was written elsewhere, behind the moment that
-- this state was copied, is not taken for the row that has its number here.
CREATE TABLE term (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    log_end INTEGER NOT NULL
);
