BEGIN TRANSACTION;
CREATE TABLE accounts (
        uuid TEXT PRIMARY KEY,
        number INTEGER NOT NULL UNIQUE,
        resource_access_log TEXT,
        created_ts DOUBLE PRECISION NOT NULL,
        updated_ts DOUBLE PRECISION NOT NULL
    );
INSERT INTO "accounts" VALUES('7bd5d47e-446f-4ec2-a3d8-11736110e578',1,NULL,1718000000.5,1718000000.5);
CREATE TABLE docs (
        uuid TEXT PRIMARY KEY,
        twin TEXT NOT NULL,
        account TEXT NOT NULL,
        name TEXT NOT NULL,
        status TEXT NOT NULL,
        storage_class TEXT NOT NULL,
        description TEXT,
        hash TEXT NOT NULL,
        size INTEGER NOT NULL,
        content TEXT,
        created_ts DOUBLE PRECISION NOT NULL,
        updated_ts DOUBLE PRECISION NOT NULL,
        UNIQUE (twin, account, name)
    );
CREATE TABLE entries (
        seq INTEGER PRIMARY KEY,
        twin TEXT NOT NULL,
        account TEXT NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        source TEXT,
        ref_status TEXT,
        visibility TEXT,
        history TEXT,
        publish TEXT,
        entry_created_ts DOUBLE PRECISION NOT NULL,
        entry_updated_ts DOUBLE PRECISION NOT NULL,
        value_changed_ts DOUBLE PRECISION NOT NULL,
        size INTEGER NOT NULL,
        UNIQUE (twin, account, name)
    );
INSERT INTO "entries" VALUES(1,'b2b3f4d5-8d82-4a63-86d2-c96e760e819b','7bd5d47e-446f-4ec2-a3d8-11736110e578','celsius','20.5',NULL,NULL,NULL,'1M',NULL,1718000000.5,1718000000.5,1718000000.5,40);
CREATE TABLE history (
        entry INTEGER NOT NULL,
        changed_ts DOUBLE PRECISION NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (entry, changed_ts)
    );
INSERT INTO "history" VALUES(1,1718000000.5,'20.5');
CREATE TABLE identities (
        twin TEXT NOT NULL,
        account TEXT NOT NULL,
        identity TEXT NOT NULL,
        validity_ts DOUBLE PRECISION,
        visibility TEXT,
        created_ts DOUBLE PRECISION NOT NULL,
        updated_ts DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (twin, account, identity)
    );
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO "meta" VALUES('version','1');
INSERT INTO "meta" VALUES('key','f5b165224a58b791df6af1d8303e61cdc4bb86c3d1c427103c344c4189eb2f1e');
CREATE TABLE pins (
        owner TEXT PRIMARY KEY REFERENCES users (uuid),
        account TEXT NOT NULL,
        hash TEXT NOT NULL,
        validity_ts DOUBLE PRECISION,
        expires_ts DOUBLE PRECISION NOT NULL,
        UNIQUE (account, hash)
    );
CREATE TABLE released (content TEXT PRIMARY KEY);
CREATE TABLE roles (
        uuid TEXT PRIMARY KEY,
        account TEXT NOT NULL REFERENCES accounts (uuid),
        name TEXT NOT NULL,
        statement TEXT NOT NULL,
        rules TEXT NOT NULL,
        created_ts DOUBLE PRECISION NOT NULL,
        updated_ts DOUBLE PRECISION NOT NULL
    );
INSERT INTO "roles" VALUES('1bcccea6-9676-4e61-96c6-e9c92d99bf35','7bd5d47e-446f-4ec2-a3d8-11736110e578','Super Admin','{"effect":"deny","actions":null}','{"twin_rule":null,"entry_rule":null,"identity_rule":null}',1718000000.5,1718000000.5);
CREATE TABLE secrets (
        owner TEXT PRIMARY KEY REFERENCES users (uuid),
        account TEXT NOT NULL,
        uuid TEXT NOT NULL UNIQUE,
        hash TEXT NOT NULL UNIQUE,
        fingerprint TEXT NOT NULL,
        validity_ts DOUBLE PRECISION,
        created_ts DOUBLE PRECISION NOT NULL,
        updated_ts DOUBLE PRECISION NOT NULL
    );
CREATE TABLE twins (
        seq INTEGER PRIMARY KEY,
        uuid TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        creator TEXT NOT NULL,
        description TEXT,
        created_ts DOUBLE PRECISION NOT NULL,
        updated_ts DOUBLE PRECISION NOT NULL,
        terminated_ts DOUBLE PRECISION,
        issuer TEXT
    );
INSERT INTO "twins" VALUES(1,'b2b3f4d5-8d82-4a63-86d2-c96e760e819b','7bd5d47e-446f-4ec2-a3d8-11736110e578','7bd5d47e-446f-4ec2-a3d8-11736110e578','{"kind":"room"}',1718000000.5,1718000000.5,NULL,NULL);
CREATE TABLE uploads (
        handler TEXT PRIMARY KEY,
        account TEXT NOT NULL,
        validity_ts DOUBLE PRECISION NOT NULL,
        content TEXT,
        size INTEGER
    );
CREATE TABLE users (
        uuid TEXT PRIMARY KEY,
        account TEXT NOT NULL REFERENCES accounts (uuid),
        role TEXT NOT NULL,
        name TEXT,
        description TEXT,
        activity TEXT,
        created_ts DOUBLE PRECISION NOT NULL,
        updated_ts DOUBLE PRECISION NOT NULL
    );
INSERT INTO "users" VALUES('8c2e0718-822c-447c-a8c7-4107e66cb0e4','7bd5d47e-446f-4ec2-a3d8-11736110e578','1bcccea6-9676-4e61-96c6-e9c92d99bf35','Super Admin',NULL,NULL,1718000000.5,1718000000.5);
CREATE INDEX roles_of_account ON roles (account);
CREATE INDEX users_of_account ON users (account);
CREATE INDEX twins_of_owner ON twins (owner, seq);
CREATE INDEX identities_by_text ON identities (identity);
CREATE INDEX entries_by_source ON entries (source) WHERE source IS NOT NULL;
CREATE INDEX uploads_by_validity ON uploads (validity_ts);
CREATE INDEX uploads_by_content ON uploads (content);
CREATE INDEX docs_by_content ON docs (content);
COMMIT;
