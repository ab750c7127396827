//! What a client may ask for when it connects.

use super::*;
use crate::sqlstate::SqlState;

fn startup(name: &str, value: &str) -> Startup {
    Startup { settings: vec![(name.to_owned(), value.to_owned())], ..Startup::default() }
}

#[tokio::test]
async fn a_profile_for_another_server_keeps_no_client_out() {
    let root = folder();
    let engine = open(root.path()).await;
    for (name, value, kept) in [
        ("datestyle", "German", "ISO, MDY"),
        ("client_encoding", "LATIN1", "UTF8"),
        ("intervalstyle", "sql_standard", "postgres"),
    ] {
        let (session, mut notices) =
            Session::new(&engine, &startup(name, value)).expect("a session");
        let notice = notices.try_recv().expect("a warning");
        assert!(notice.message.contains(value), "{notice:?}");
        assert_eq!(session.settings.get(name).expect("known"), kept);
    }
    // What is wrong everywhere, and what would weaken a promise, is refused.
    for (name, value, code) in [
        ("datestyle", "Martian", SqlState::InvalidParameterValue),
        ("no_such_setting", "1", SqlState::UndefinedObject),
        ("default_transaction_isolation", "serializable", SqlState::FeatureNotSupported),
    ] {
        let refused = Session::new(&engine, &startup(name, value));
        assert_eq!(refused.map(|_| ()).expect_err("refused").code(), code, "{name}");
    }
}
