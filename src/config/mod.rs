//! The settings of a session: one table serves SET, SHOW, RESET, pg_settings and ParameterStatus.

mod memory;
mod settings;

pub use memory::parse_memory;
pub use settings::Settings;

/// How a setting's text is checked and normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// on or off.
    Bool,
    /// A whole number within bounds, in the setting's own unit.
    Int(i64, i64),
    /// Milliseconds: a number, or one with a unit (`ms`, `s`, `min`, `h`, `d`).
    Milliseconds,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A comma-separated list of schemas.
    Schemas,
    /// A time zone.
    Zone,
    /// Cannot be changed.
    Fixed,
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name, in the spelling that SHOW prints.
    pub name: &'static str,
    /// How values are checked.
    pub kind: Kind,
    /// The value of a new session.
    pub default: &'static str,
    /// Clients are told at the start and when it changes.
    pub reported: bool,
    /// What it does, one line.
    pub doc: &'static str,
}

/// What `server_version` says: the PostgreSQL release whose behaviour clients may expect.
pub const SERVER_VERSION: &str = "16.6";

const fn setting(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    reported: bool,
    doc: &'static str,
) -> Setting {
    Setting { name, kind, default, reported, doc }
}

const ISOLATION: Kind = Kind::Choice(&["read uncommitted", "read committed", "repeatable read"]);

/// Every setting, by name in any case.
pub const SETTINGS: &[Setting] = &[
    setting("application_name", Kind::Text, "", true, "The name that the client gives itself."),
    setting(
        "bytea_output",
        Kind::Choice(&["hex", "escape"]),
        "hex",
        false,
        "How bytea is printed.",
    ),
    setting(
        "client_encoding",
        Kind::Choice(&["UTF8", "utf-8", "unicode"]),
        "UTF8",
        true,
        "Always UTF8.",
    ),
    setting(
        "client_min_messages",
        Kind::Choice(&[
            "debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error",
        ]),
        "notice",
        false,
        "The least severe messages that are sent.",
    ),
    setting(
        "DateStyle",
        Kind::Text,
        "ISO, MDY",
        true,
        "Output is always ISO; the order is for input.",
    ),
    setting(
        "default_table_access_method",
        Kind::Choice(&["delta"]),
        "delta",
        false,
        "Every table is a Delta table.",
    ),
    setting(
        "default_transaction_isolation",
        ISOLATION,
        "repeatable read",
        false,
        "Every level is snapshot isolation.",
    ),
    setting(
        "default_transaction_read_only",
        Kind::Bool,
        "off",
        true,
        "New transactions write nothing.",
    ),
    setting(
        "extra_float_digits",
        Kind::Int(-15, 3),
        "1",
        false,
        "Above 0: the shortest exact output of floats.",
    ),
    setting(
        "file_search_path",
        Kind::Text,
        "",
        false,
        "The folder that relative file names start at.",
    ),
    setting(
        "idle_in_transaction_session_timeout",
        Kind::Milliseconds,
        "0",
        false,
        "0 means none; only 0 is supported.",
    ),
    setting("in_hot_standby", Kind::Fixed, "off", true, "Always off."),
    setting("integer_datetimes", Kind::Fixed, "on", true, "Always on."),
    setting(
        "IntervalStyle",
        Kind::Choice(&["postgres"]),
        "postgres",
        true,
        "How intervals are printed.",
    ),
    setting("is_superuser", Kind::Fixed, "on", true, "Whether the role may do everything."),
    setting("lock_timeout", Kind::Milliseconds, "0", false, "There are no locks to wait for."),
    setting("max_identifier_length", Kind::Fixed, "63", false, "As in PostgreSQL."),
    setting("max_index_keys", Kind::Fixed, "32", false, "As in PostgreSQL; drivers ask for it."),
    setting(
        "search_path",
        Kind::Schemas,
        "\"$user\", public",
        true,
        "The schemas that bare names are looked up in.",
    ),
    setting("server_encoding", Kind::Fixed, "UTF8", true, "Always UTF8."),
    setting(
        "server_version",
        Kind::Fixed,
        SERVER_VERSION,
        true,
        "The PostgreSQL release that clients may expect.",
    ),
    setting("server_version_num", Kind::Fixed, "160006", false, "The same as a number."),
    setting("session_authorization", Kind::Fixed, "cenote", true, "The role that connected."),
    setting(
        "standard_conforming_strings",
        Kind::Choice(&["on"]),
        "on",
        true,
        "Backslashes in plain strings are literal.",
    ),
    setting(
        "statement_timeout",
        Kind::Milliseconds,
        "0",
        false,
        "Statements that take longer are cancelled; 0 means never.",
    ),
    setting(
        "target_partitions",
        Kind::Int(0, 1024),
        "0",
        false,
        "Partitions of a query's plan; 0 means one a thread.",
    ),
    setting(
        "TimeZone",
        Kind::Zone,
        "UTC",
        true,
        "The zone that timestamps with time zone are shown in.",
    ),
    setting(
        "transaction_isolation",
        ISOLATION,
        "repeatable read",
        false,
        "The level of this transaction.",
    ),
    setting("transaction_read_only", Kind::Bool, "off", false, "This transaction writes nothing."),
];

/// The setting of this name, in any case.
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|s| s.name.eq_ignore_ascii_case(name))
}
