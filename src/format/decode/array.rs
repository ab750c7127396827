//! Array literals: `{1,NULL,"a b"}` and deeper.

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

/// An element of an array literal.
#[derive(Debug, PartialEq)]
pub(super) enum Item {
    Null,
    Text(String),
    List(Vec<Item>),
}

/// More dimensions than this PostgreSQL does not read (MAXDIM).
const DIMENSIONS_MAX: usize = 6;

/// Reads an array literal. Dimension bounds in front of it are left out.
pub(super) fn parse_array(text: &str) -> Result<Vec<Item>> {
    let mut reader = Reader { text, at: 0 };
    reader.skip_spaces();
    reader.skip_bounds()?;
    if reader.peek() != Some(b'{') {
        return Err(reader.malformed("Array value must start with \"{\" or dimension information."));
    }
    let items = reader.list(1)?;
    reader.skip_spaces();
    if reader.peek().is_some() {
        return Err(reader.malformed("Junk after closing right brace."));
    }
    if !is_rectangular(&items) {
        return Err(reader
            .malformed("Multidimensional arrays must have sub-arrays with matching dimensions."));
    }
    Ok(items)
}

/// Whether all inner lists of one level have the same length.
fn is_rectangular(items: &[Item]) -> bool {
    let mut lists = items.iter().filter_map(|item| match item {
        Item::List(items) => Some(items),
        _ => None,
    });
    let Some(first) = lists.next() else { return true };
    lists.all(|list| list.len() == first.len() && is_rectangular(list)) && is_rectangular(first)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn malformed(&self, detail: &str) -> Error {
        Error::new(
            SqlState::InvalidTextRepresentation,
            format!("malformed array literal: \"{}\"", self.text),
        )
        .detail(detail)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | 9..=13)) {
            self.at += 1;
        }
    }

    /// `[2:3][1:1]=`
    fn skip_bounds(&mut self) -> Result<()> {
        if self.peek() != Some(b'[') {
            return Ok(());
        }
        let bounds = &self.text[self.at..];
        let end = bounds
            .find('=')
            .ok_or_else(|| self.malformed("Missing \"=\" after array dimensions."))?;
        let valid = bounds[..end]
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'[' | b']' | b':' | b'-' | b'+' | b' '));
        if !valid {
            return Err(
                self.malformed("\"[\" must introduce explicitly-specified array dimensions.")
            );
        }
        self.at += end + 1;
        self.skip_spaces();
        Ok(())
    }

    /// Reads from the opening brace to behind the closing one.
    fn list(&mut self, depth: usize) -> Result<Vec<Item>> {
        if depth > DIMENSIONS_MAX {
            return Err(Error::new(
                SqlState::StatementTooComplex,
                format!(
                    "number of array dimensions exceeds the maximum allowed ({DIMENSIONS_MAX})"
                ),
            ));
        }
        self.at += 1;
        let mut items = Vec::new();
        self.skip_spaces();
        if self.peek() == Some(b'}') && depth == 1 {
            self.at += 1;
            return Ok(items);
        }
        loop {
            self.skip_spaces();
            let item = match self.peek() {
                Some(b'{') if items.iter().any(|item| !matches!(item, Item::List(_))) => {
                    return Err(self.malformed("Unexpected \"{\" character."));
                }
                Some(b'{') => Item::List(self.list(depth + 1)?),
                _ => self.element()?,
            };
            if !matches!(item, Item::List(_)) && matches!(items.first(), Some(Item::List(_))) {
                return Err(self.malformed("Unexpected array element."));
            }
            items.push(item);
            self.skip_spaces();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(items);
                }
                Some(_) => return Err(self.malformed("Unexpected array element.")),
                None => return Err(self.malformed("Unexpected end of input.")),
            }
        }
    }

    fn element(&mut self) -> Result<Item> {
        match self.peek() {
            None => Err(self.malformed("Unexpected end of input.")),
            Some(b',') => Err(self.malformed("Unexpected \",\" character.")),
            Some(b'}') => Err(self.malformed("Unexpected \"}\" character.")),
            Some(b'"') => self.quoted(),
            Some(_) => self.bare(),
        }
    }

    fn quoted(&mut self) -> Result<Item> {
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.at += 1,
                _ => {}
            }
            let Some(byte) = self.peek() else {
                return Err(self.malformed("Unexpected end of input."));
            };
            bytes.push(byte);
            self.at += 1;
        }
        self.at += 1;
        self.text_of(bytes)
    }

    fn bare(&mut self) -> Result<Item> {
        let mut bytes = Vec::new();
        // Spaces at the end do not count, unless a backslash stands before them.
        let mut kept = 0;
        let mut escaped = false;
        loop {
            let byte = match self.peek() {
                None => return Err(self.malformed("Unexpected end of input.")),
                Some(b',' | b'}') => break,
                Some(b'"') => return Err(self.malformed("Unexpected array element.")),
                Some(b'{') => return Err(self.malformed("Unexpected \"{\" character.")),
                Some(b'\\') => {
                    self.at += 1;
                    escaped = true;
                    let byte =
                        self.peek().ok_or_else(|| self.malformed("Unexpected end of input."))?;
                    kept = bytes.len() + 1;
                    byte
                }
                Some(byte) => {
                    if !matches!(byte, b' ' | 9..=13) {
                        kept = bytes.len() + 1;
                    }
                    byte
                }
            };
            bytes.push(byte);
            self.at += 1;
        }
        bytes.truncate(kept);
        if !escaped && bytes.eq_ignore_ascii_case(b"null") {
            return Ok(Item::Null);
        }
        self.text_of(bytes)
    }

    fn text_of(&self, bytes: Vec<u8>) -> Result<Item> {
        // Only whole characters were taken, so that this cannot fail.
        String::from_utf8(bytes)
            .map(Item::Text)
            .map_err(|_| self.malformed("Unexpected array element."))
    }
}
