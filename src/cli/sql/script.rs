//! Cutting a script into statements, backslash commands and COPY data, as psql does.

/// A script and how far it has been read. What follows a COPY statement is data or SQL, which only
/// its execution can tell; so a script is cut piece by piece.
#[derive(Debug)]
pub(super) struct Script<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

/// The next piece of a script.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A statement without its semicolon, and the line that it begins on.
    Statement {
        /// The text, without space around it.
        text: &'a str,
        /// From 1.
        line: usize,
        /// What ended it.
        end: End,
    },
    /// A backslash command, without the backslash.
    Command {
        /// The rest of the line.
        text: &'a str,
        /// From 1.
        line: usize,
    },
}

/// What a statement ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Semicolon,
    /// `\g`
    Go,
    /// Nothing but the end of the text.
    Open,
    /// The end of the text, inside of a quote or a comment that begins with this character.
    Inside(char),
}

impl End {
    /// How many bytes the sign of the end has.
    fn length(self) -> usize {
        match self {
            End::Semicolon => 1,
            End::Go => 2,
            End::Open | End::Inside(_) => 0,
        }
    }
}

/// What an interactive text still waits for, as psql's prompts show it: a quote, a comment's `*`, or
/// `-` for the end of the statement; none if it can run. A command and an empty text need no end.
pub(super) fn awaited(text: &str) -> Option<char> {
    let mut script = Script::new(text);
    let mut awaited = None;
    while let Some(piece) = script.next_piece() {
        awaited = match piece {
            Piece::Statement { end: End::Open, .. } => Some('-'),
            Piece::Statement { end: End::Inside(sign), .. } => Some(sign),
            _ => None,
        };
    }
    awaited
}

/// Whether a line ends the data of COPY FROM STDIN.
pub(super) fn ends_data(line: &str) -> bool {
    line.trim_end_matches(['\n', '\r']) == "\\."
}

impl<'a> Script<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text: text.strip_prefix('\u{feff}').unwrap_or(text), at: 0, line: 1 }
    }

    /// The next statement or command; none at the end.
    pub(super) fn next_piece(&mut self) -> Option<Piece<'a>> {
        loop {
            self.skip_blank();
            let line = self.line;
            let rest = &self.text[self.at..];
            if rest.is_empty() {
                return None;
            }
            if let Some(command) = rest.strip_prefix('\\') {
                let text = command.lines().next().unwrap_or_default();
                self.advance(1 + text.len());
                return Some(Piece::Command { text: text.trim(), line });
            }
            let (length, end) = statement_end(rest);
            self.advance(length + end.length());
            let text = rest[..length].trim_end();
            if !text.is_empty() {
                return Some(Piece::Statement { text, line, end });
            }
        }
    }

    /// The data lines after a COPY … FROM STDIN, up to `\.` or the end of the script.
    pub(super) fn copy_data(&mut self) -> &'a str {
        // The rest of the statement's own line is not data.
        let rest = &self.text[self.at..];
        let skip = rest.find('\n').map_or(rest.len(), |end| end + 1);
        self.advance(skip);
        let rest = &self.text[self.at..];
        let mut end = 0;
        for line in rest.split_inclusive('\n') {
            if ends_data(line) {
                let data = &rest[..end];
                self.advance(end + line.len());
                return data;
            }
            end += line.len();
        }
        self.advance(rest.len());
        rest
    }

    /// Steps over space and comments in front of a statement; a comment that nothing closes belongs to it.
    fn skip_blank(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let space = rest.len() - rest.trim_start().len();
            let comment = match comment(&rest[space..]) {
                Some(Comment::Closed(length)) => length,
                Some(Comment::Open) | None => 0,
            };
            self.advance(space + comment);
            if space + comment == 0 {
                return;
            }
        }
    }

    fn advance(&mut self, bytes: usize) {
        let passed = &self.text[self.at..self.at + bytes];
        self.line += passed.bytes().filter(|byte| *byte == b'\n').count();
        self.at += bytes;
    }
}

/// Where the statement at the start of the text ends, and how.
fn statement_end(text: &str) -> (usize, End) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = &text[at..];
        let length = match byte {
            b';' => return (at, End::Semicolon),
            b'\\' if is_go(rest) => return (at, End::Go),
            b'\'' => {
                // An E right before the quote makes backslashes special, unless it ends a word.
                let escapes =
                    matches!(bytes[..at], [.., b'e' | b'E']) && !(at > 1 && is_word(bytes[at - 2]));
                quoted_length(rest, b'\'', escapes)
            }
            b'"' => quoted_length(rest, b'"', false),
            b'$' if at == 0 || !is_word(bytes[at - 1]) => dollar_length(rest),
            b'-' | b'/' => match comment(rest) {
                Some(Comment::Closed(length)) => Some(length),
                Some(Comment::Open) => return (text.len(), End::Inside('*')),
                None => Some(1),
            },
            // A piece of a longer character is passed over with the rest of it.
            _ => Some(rest.chars().next().map_or(1, char::len_utf8)),
        };
        let Some(length) = length else { return (text.len(), End::Inside(char::from(byte))) };
        at += length;
    }
    (text.len(), End::Open)
}

/// Whether the text begins with `\g` alone.
fn is_go(text: &str) -> bool {
    text.strip_prefix("\\g").is_some_and(|rest| !rest.starts_with(|c: char| !c.is_whitespace()))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The length of a quoted text with its quotes; a doubled quote does not end it. None if nothing does.
fn quoted_length(text: &str, quote: u8, escapes: bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        if byte == b'\\' && escapes {
            at += 1;
        } else if byte == quote {
            if bytes.get(at) != Some(&quote) {
                return Some(at);
            }
            at += 1;
        }
    }
    None
}

/// The length of `$tag$…$tag$`, none without its end; 1 for a dollar that begins no quote.
fn dollar_length(text: &str) -> Option<usize> {
    let Some(end) = text[1..].find('$') else { return Some(1) };
    let tag = &text[..end + 2];
    let name = &tag[1..tag.len() - 1];
    if name.starts_with(|c: char| c.is_ascii_digit()) || !name.bytes().all(is_word) {
        return Some(1);
    }
    text[tag.len()..].find(tag).map(|body| body + 2 * tag.len())
}

/// A comment at the start of a text.
enum Comment {
    /// Its length.
    Closed(usize),
    /// It goes on behind the end of the text.
    Open,
}

/// The comment at the start of the text, if there is one.
fn comment(text: &str) -> Option<Comment> {
    if text.starts_with("--") {
        return Some(Comment::Closed(text.find('\n').unwrap_or(text.len())));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0, 0);
    while at < bytes.len() {
        match bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(Comment::Closed(at));
        }
    }
    Some(Comment::Open)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<(String, usize)> {
        let mut script = Script::new(text);
        std::iter::from_fn(|| script.next_piece())
            .map(|piece| match piece {
                Piece::Statement { text, line, .. } => (text.to_owned(), line),
                Piece::Command { text, line } => (format!("\\{text}"), line),
            })
            .collect()
    }

    fn pairs(expected: &[(&str, usize)]) -> Vec<(String, usize)> {
        expected.iter().map(|(text, line)| ((*text).to_owned(), *line)).collect()
    }

    #[test]
    fn semicolons_count_outside_of_quotes_only() {
        let text = "select ';', \"a;b\", 'it''s;', e'\\';', $$;$$, $t$;$$;$t$ ;\nselect 2";
        assert_eq!(
            pieces(text),
            pairs(&[
                ("select ';', \"a;b\", 'it''s;', e'\\';', $$;$$, $t$;$$;$t$", 1),
                ("select 2", 2)
            ])
        );
        // No escapes without an E of its own, no dollar quote inside a name, no tag of digits.
        let text = "select '\\'; select type'\\'; select a$b$;select $1;select $1$";
        assert_eq!(
            pieces(text),
            pairs(&[
                ("select '\\'", 1),
                ("select type'\\'", 1),
                ("select a$b$", 1),
                ("select $1", 1),
                ("select $1$", 1)
            ])
        );
    }

    #[test]
    fn comments_and_lines() {
        let text = "-- first; \n/* a; /* b; */ ; */\n\nselect 1 -- ; one\n + 2;\n;;\n  select ü';ü' /* ; */;\n-- end";
        assert_eq!(
            pieces(text),
            pairs(&[("select 1 -- ; one\n + 2", 4), ("select ü';ü' /* ; */", 7)])
        );
        assert_eq!(pieces("select 'open;\n"), pairs(&[("select 'open;", 1)]));
        assert!(pieces("  \n -- nothing\n").is_empty());
    }

    #[test]
    fn commands_and_copy_data() {
        let mut script = Script::new(
            "\\x on\ncopy t from stdin; -- rows\n1\t;\n\\.\nselect 1;\ncopy t from stdin;\n2\n",
        );
        assert_eq!(script.next_piece(), Some(Piece::Command { text: "x on", line: 1 }));
        let copy = Piece::Statement { text: "copy t from stdin", line: 2, end: End::Semicolon };
        assert_eq!(script.next_piece(), Some(copy));
        assert_eq!(script.copy_data(), "1\t;\n");
        let select = Piece::Statement { text: "select 1", line: 5, end: End::Semicolon };
        assert_eq!(script.next_piece(), Some(select));
        script.next_piece();
        assert_eq!(script.copy_data(), "2\n");
        assert_eq!(script.next_piece(), None);
    }

    #[test]
    fn backslash_g_ends_a_statement() {
        assert_eq!(
            pieces("select 1 \\g\nselect 2\n\\g\nselect '\\g';select 3\\g"),
            pairs(&[("select 1", 1), ("select 2", 2), ("select '\\g'", 4), ("select 3", 4)])
        );
        assert_eq!(pieces("select 1 \\gx"), pairs(&[("select 1 \\gx", 1)]));
    }

    #[test]
    fn a_text_waits_for_the_end_of_what_it_began() {
        for text in
            ["", " -- none", "select 1;", "\\d t", "select 1; -- done", "select 1;\\q", "/* a */"]
        {
            assert_eq!(awaited(text), None, "{text}");
        }
        for (text, sign) in [
            ("select 1", '-'),
            ("select 1; select 2", '-'),
            ("/* a */ select 1 -- ;", '-'),
            ("select ';", '\''),
            ("select \";", '"'),
            ("select $a$;$$", '$'),
            ("select e'\\';", '\''),
            ("/* a;", '*'),
            ("/* a\n /* b */ ;", '*'),
            ("select /* ;", '*'),
        ] {
            assert_eq!(awaited(text), Some(sign), "{text}");
        }
        assert_eq!(pieces("/* a\n b */ select 2;"), pairs(&[("select 2", 2)]));
    }
}
