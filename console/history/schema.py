"""The history's tables, and how earlier versions of them become the present one."""

from __future__ import annotations

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE sample (
            id INTEGER PRIMARY KEY,
            target TEXT NOT NULL, scenario TEXT NOT NULL, started_at REAL NOT NULL, duration_ms REAL NOT NULL,
            status TEXT NOT NULL, engine TEXT NOT NULL, machine TEXT NOT NULL, context_ms REAL NOT NULL,
            context_files INTEGER NOT NULL, context_bytes INTEGER NOT NULL, context_digest TEXT NOT NULL,
            image_id TEXT NOT NULL, image_bytes INTEGER NOT NULL, base_id TEXT NOT NULL, no_cache INTEGER NOT NULL,
            alongside INTEGER NOT NULL, reason TEXT NOT NULL, save_to_ready_ms REAL, steps BLOB NOT NULL)""",
        """CREATE INDEX comparable ON sample (target, scenario, engine, machine, started_at)
            WHERE status = 'ok' AND alongside = 0""",
        "CREATE INDEX succeeded ON sample (target, started_at, engine, machine) WHERE status = 'ok'",
        "CREATE INDEX by_time ON sample (started_at)",
    ),
    (
        "ALTER TABLE sample RENAME TO sample_1",
        "DROP INDEX comparable",
        "DROP INDEX succeeded",
        "DROP INDEX by_time",
        """CREATE TABLE sample (
            id INTEGER PRIMARY KEY,
            target TEXT NOT NULL, scenario TEXT NOT NULL, started_at REAL NOT NULL, duration_ms REAL NOT NULL,
            status TEXT NOT NULL, engine TEXT NOT NULL, machine TEXT NOT NULL, context_ms REAL NOT NULL,
            context_files INTEGER NOT NULL, context_bytes INTEGER NOT NULL, context_digest TEXT NOT NULL,
            image_id TEXT NOT NULL, image_bytes INTEGER NOT NULL, base_id TEXT NOT NULL, no_cache INTEGER NOT NULL,
            disturbed TEXT NOT NULL, "trigger" TEXT NOT NULL, reason TEXT NOT NULL, revision TEXT NOT NULL,
            recipe TEXT NOT NULL, save_to_ready_ms REAL, base_layers INTEGER NOT NULL)""",
        """CREATE TABLE detail (
            id INTEGER PRIMARY KEY REFERENCES sample (id),
            steps BLOB NOT NULL, causes BLOB NOT NULL, layers BLOB NOT NULL)""",
        """INSERT INTO sample SELECT id, target, scenario, started_at, duration_ms, status, engine, machine, context_ms,
            context_files, context_bytes, context_digest, image_id, image_bytes, base_id, no_cache,
            CASE WHEN alongside THEN 'another build ran at the same time' ELSE '' END,
            CASE WHEN reason LIKE 'compare: %' THEN 'compare' WHEN reason LIKE 'saved %' THEN 'save' ELSE 'asked' END,
            reason, '', '', save_to_ready_ms, 0 FROM sample_1""",
        "INSERT INTO detail SELECT id, steps, x'', x'' FROM sample_1",
        "DROP TABLE sample_1",
        """CREATE INDEX comparable ON sample (target, scenario, engine, machine, started_at)
            WHERE status = 'ok' AND disturbed = ''""",
        "CREATE INDEX succeeded ON sample (target, started_at, engine, machine) WHERE status = 'ok'",
        """CREATE INDEX accounted ON sample (started_at, target, "trigger", engine, machine, scenario, status,
            disturbed, duration_ms) WHERE target <> 'legacy'""",
        "CREATE INDEX by_time ON sample (started_at)",
        "CREATE INDEX bases ON sample (image_id) WHERE target = 'base' AND status = 'ok'",
        """CREATE TABLE pull (
            id INTEGER PRIMARY KEY,
            reference TEXT NOT NULL, started_at REAL NOT NULL, duration_ms REAL NOT NULL,
            fetched_bytes INTEGER NOT NULL, whole INTEGER NOT NULL, engine TEXT NOT NULL, machine TEXT NOT NULL)""",
    ),
)
"""What leads from schema version i to i + 1 (`PRAGMA user_version`). Appended to, never edited."""
