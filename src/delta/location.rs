//! Where a table's files lie, and how the paths of add actions lead there.

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use datafusion::datasource::object_store::ObjectStoreUrl;
use object_store::path::Path;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// A table's folder within an object store that DataFusion knows.
#[derive(Debug, Clone)]
pub struct TableLocation {
    /// The store, as it is registered with the RuntimeEnv.
    pub object_store_url: ObjectStoreUrl,
    /// The table's folder in that store.
    pub prefix: Path,
}

/// What an add's path must have encoded beyond the control characters: a URI's reserved ones.
const IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The object that an add's path names: relative to the table's folder and URL-encoded.
///
/// # Errors
/// 0A000 for absolute paths (another tool's shallow clone), XX001 for paths that cannot be decoded
/// or lead out of the table.
pub fn object_path(prefix: &Path, add_path: &str) -> Result<Path> {
    let scheme = add_path.split_once("://").is_some_and(|(s, _)| !s.contains('/'));
    if scheme || add_path.starts_with('/') {
        return Err(Error::unsupported(
            format_args!("a table with a file outside of its folder ({add_path})"),
            "Make a deep clone of the table.",
        ));
    }
    let bad = || Error::new(SqlState::DataCorrupted, format!("file path {add_path} is invalid"));
    let decoded = percent_decode_str(add_path).decode_utf8().map_err(|_| bad())?;
    Path::parse(format!("{prefix}/{decoded}").trim_start_matches('/')).map_err(|e| bad().source(e))
}

/// The path that an add carries for a file at `relative` to the table's folder.
pub fn add_path(relative: &str) -> String {
    utf8_percent_encode(relative, IN_PATH).to_string()
}

/// The folder of partition values, such as `a=1/b=x%2Fy/`; empty without partition columns.
pub fn partition_folder<'a>(
    values: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
) -> String {
    let mut folder = String::new();
    for (name, value) in values {
        folder.push_str(&hive_escape(name));
        folder.push('=');
        match value {
            Some(value) => folder.push_str(&hive_escape(value)),
            None => folder.push_str("__HIVE_DEFAULT_PARTITION__"),
        }
        folder.push('/');
    }
    folder
}

/// Hive's escape: the characters that file systems and URLs treat specially become %XX.
fn hive_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_control() || "\"#%'*/:=?\\{}[]^|<> \u{7f}".contains(c) {
            out.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_escaped_once_and_paths_once_more() {
        let folder = partition_folder([("d", Some("a b/ü%")), ("e", None)]);
        assert_eq!(folder, "d=a%20b%2Fü%25/e=__HIVE_DEFAULT_PARTITION__/");
        let path = add_path(&format!("{folder}f.parquet"));
        assert_eq!(path, "d=a%2520b%252F%C3%BC%2525/e=__HIVE_DEFAULT_PARTITION__/f.parquet");
        let object = object_path(&Path::from("w/t"), &path).expect("own path");
        assert_eq!(object.as_ref(), format!("w/t/{folder}f.parquet"));
    }

    #[test]
    fn paths_do_not_leave_the_table() {
        let prefix = Path::from("w/t");
        for path in ["s3://b/f", "/f", "../f"] {
            assert!(object_path(&prefix, path).is_err(), "{path}");
        }
        assert_eq!(object_path(&Path::default(), "f").expect("root").as_ref(), "f");
    }
}
