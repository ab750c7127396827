//! Running statements on a session, and printing what they answer with.

use super::print::{OutputFormat, Printer, write_error};
use super::report::{Place, error_text, notice_text};
use super::script::{Piece, Script, ends_data};
use crate::error::{Error, Notice, Result};
use crate::format::table::PrintOptions;
use crate::format::{CopyOptions, Header, RowEncoder};
use crate::session::{CopyIn, Engine, Response, Session, Startup, TransactionStatus};
use crate::sqlstate::SqlState;
use arrow::datatypes::SchemaRef;
use bytes::BytesMut;
use datafusion::execution::SendableRecordBatchStream;
use futures::{FutureExt, StreamExt};
use std::future::Future;
use std::io::{BufRead, BufWriter, ErrorKind, Stdout, Write};
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// COPY data reaches the statement in pieces of this size.
const COPY_PIECE: usize = 64 * 1024;

/// What psql says when data are to be typed.
const COPY_HINT: &str = "Enter data to be copied followed by a newline.
End with a backslash and a period on a line by itself, or an EOF signal.";

/// How a script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Ended {
    Done,
    /// `\q`
    Quit,
    /// At a statement that failed.
    Failed,
    /// Whoever read the results went away, as `head` does when it has seen enough.
    Unread,
}

impl Ended {
    /// The exit code of the process, `failed` for a statement that did.
    pub(in crate::cli) fn exit_code(self, failed: u8) -> ExitCode {
        match self {
            Ended::Done | Ended::Quit => ExitCode::SUCCESS,
            Ended::Failed => ExitCode::from(failed),
            Ended::Unread => ExitCode::from(EXIT_UNREAD),
        }
    }
}

/// What a shell says of a process that SIGPIPE ended, as it ends most programs whose reader went away.
const EXIT_UNREAD: u8 = 141;

/// What a backslash command asks for.
enum Action {
    Nothing,
    Quit,
    Run(String),
}

/// Reads a line of COPY data from whoever types it; none at the end of the input.
pub(super) type Typed<'s> = &'s mut dyn FnMut() -> Result<Option<String>>;

/// Where the text that runs comes from, which decides where COPY FROM STDIN finds its data.
pub(in crate::cli) enum Origin<'s> {
    /// A script of this name, as errors call it: the data are the lines behind the statement.
    Script(&'s str),
    /// The command line: the data are the standard input of the process.
    Argument,
    /// The shell: the data are typed.
    Typed(Typed<'s>),
}

/// The data of one COPY FROM STDIN, up to `\.` or the end of the source.
enum CopySource<'s, 'a> {
    Script(&'s mut Script<'a>),
    Stdin,
    Typed(Typed<'s>),
}

/// A session with its way to the terminal.
pub(in crate::cli) struct Runner {
    link: Link,
    session: Session,
    options: PrintOptions,
    timing: bool,
    /// Statements of scripts are printed before their results.
    echo: bool,
    runtime: Arc<Runtime>,
}

/// The parts that are in use while the session works.
struct Link {
    notices: mpsc::UnboundedReceiver<Notice>,
    out: BufWriter<Stdout>,
    format: OutputFormat,
}

impl Runner {
    pub(in crate::cli) fn new(
        engine: &Arc<Engine>,
        runtime: Runtime,
        format: OutputFormat,
        settings: Vec<(String, String)>,
    ) -> Result<Self> {
        let mut startup = Startup { user: "cenote".into(), database: "cenote".into(), settings };
        startup.settings.push(("application_name".into(), "cenote sql".into()));
        let entered = runtime.enter();
        let (session, notices) = Session::new(engine, &startup)?;
        drop(entered);
        let cancel = session.cancel_handle();
        runtime.spawn(async move {
            // Without a statement that runs, this does nothing.
            while tokio::signal::ctrl_c().await.is_ok() {
                cancel.cancel();
            }
        });
        Ok(Self {
            link: Link { notices, out: BufWriter::new(std::io::stdout()), format },
            session,
            options: PrintOptions::default(),
            timing: false,
            echo: false,
            runtime: Arc::new(runtime),
        })
    }

    /// Prints the statements of scripts before their results.
    pub(in crate::cli) fn echo(&mut self) {
        self.echo = true;
    }

    /// Where the session stands, for the prompt.
    pub(super) fn status(&self) -> TransactionStatus {
        self.session.status()
    }

    /// Ends the session: what an open transaction wrote is gone when this returns.
    pub(in crate::cli) fn close(self) {
        self.runtime.block_on(self.session.close());
    }

    /// Runs a script; errors are told on standard error, with the place in the file.
    pub(in crate::cli) fn script(
        &mut self,
        text: &str,
        mut origin: Origin<'_>,
        go_on: bool,
    ) -> Ended {
        let file = match &origin {
            Origin::Script(file) => Some((*file).to_owned()),
            Origin::Argument | Origin::Typed(_) => None,
        };
        let mut script = Script::new(text);
        while let Some(piece) = script.next_piece() {
            let (text, line) = match piece {
                Piece::Statement { text, line, .. } => (text.to_owned(), line),
                Piece::Command { text, line } => match self.command(text) {
                    Ok(Action::Nothing) => continue,
                    Ok(Action::Quit) => return Ended::Quit,
                    Ok(Action::Run(sql)) => (sql, line),
                    Err(message) => {
                        eprintln!("{}{message}", place_prefix(file.as_deref(), line));
                        if go_on {
                            continue;
                        }
                        return Ended::Failed;
                    }
                },
            };
            if self.echo {
                // A reader that went away shows in the results' own output.
                let _ = writeln!(self.link.out, "{text};").and_then(|()| self.link.out.flush());
            }
            let place = file.as_ref().map(|file| Place { file: file.clone(), line });
            let source = match &mut origin {
                Origin::Script(_) => CopySource::Script(&mut script),
                Origin::Argument => CopySource::Stdin,
                Origin::Typed(read) => CopySource::Typed(&mut **read),
            };
            match self.statement(&text, place.as_ref(), source) {
                Ended::Done => {}
                Ended::Failed if go_on => {}
                ended => return ended,
            }
        }
        Ended::Done
    }

    /// Runs the text of one `-c`: several statements are one transaction, unless they say otherwise,
    /// as they are for psql.
    pub(super) fn group(&mut self, text: &str, go_on: bool) -> Ended {
        let mut pieces = Script::new(text);
        let (mut statements, mut commands) = (0, 0);
        while let Some(piece) = pieces.next_piece() {
            match piece {
                Piece::Statement { .. } => statements += 1,
                Piece::Command { .. } => commands += 1,
            }
        }
        if statements < 2 || commands > 0 {
            return self.script(text, Origin::Argument, go_on);
        }
        self.session.begin_implicit();
        let ended = self.script(text, Origin::Argument, false);
        let runtime = Arc::clone(&self.runtime);
        let committed = runtime.block_on(self.link.drive(self.session.end_implicit()));
        if let Err(error) = &committed {
            eprint!("{}", error_text(error, text, None));
        }
        match (ended, committed) {
            (Ended::Done, Err(_)) if !go_on => Ended::Failed,
            (Ended::Failed, _) if go_on => Ended::Done,
            (ended, _) => ended,
        }
    }

    /// Runs one statement and prints its result or its error.
    fn statement(
        &mut self,
        text: &str,
        place: Option<&Place>,
        source: CopySource<'_, '_>,
    ) -> Ended {
        let begun = Instant::now();
        let runtime = Arc::clone(&self.runtime);
        let result = runtime.block_on(self.execute(text, source));
        let flushed = self.link.out.flush().map_err(write_error);
        let result = result.map_err(|error| self.session.fail(error)).and(flushed);
        self.link.show_notices();
        if let Err(error) = &result {
            if is_unread(error) {
                return Ended::Unread;
            }
            eprint!("{}", error_text(error, text, place));
        }
        if self.timing {
            self.say(&format!("Time: {:.3} ms", begun.elapsed().as_secs_f64() * 1000.0));
        }
        if result.is_ok() { Ended::Done } else { Ended::Failed }
    }

    async fn execute(&mut self, text: &str, source: CopySource<'_, '_>) -> Result<()> {
        let mut source = Some(source);
        for statement in self.session.parse_script(text)? {
            let cancel = self.session.cancel_handle();
            let response = self.link.drive(self.session.execute(&statement, &[])).await?;
            // From here on the server's rule holds: who sends the rows watches for the cancel.
            let token = cancel.current();
            self.options.settings = self.session.encode_settings();
            let options = self.options.clone();
            let response = match response {
                Response::CopyIn(target) => {
                    let source = source.take().unwrap_or(CopySource::Stdin);
                    self.link.copy_in(target, source, &token).await?;
                    continue;
                }
                response => response,
            };
            let answer = async {
                let link = &mut self.link;
                match response {
                    Response::Rows { schema, stream, .. } => {
                        link.print_rows(schema, stream, options).await
                    }
                    Response::Complete(tag) => link.print_tag(&tag),
                    Response::CopyOut { schema, stream, options: copy } => {
                        link.copy_out(schema, stream, &copy, &options).await
                    }
                    // COPY FROM STDIN has its own way to stop, above.
                    Response::CopyIn(_) | Response::Empty => Ok(()),
                }
            };
            tokio::select! {
                biased;
                () = token.cancelled() => return Err(cancelled()),
                answered = answer => answered?,
            }
        }
        Ok(())
    }

    /// Prints a line for the user; a standard output that is gone is noticed elsewhere.
    fn say(&mut self, text: &str) {
        let _ = writeln!(self.link.out, "{text}").and_then(|()| self.link.out.flush());
    }

    /// Understands a backslash command.
    fn command(&mut self, text: &str) -> Result<Action, String> {
        let (name, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let argument = argument.trim().trim_end_matches(';');
        match name {
            "q" | "quit" => return Ok(Action::Quit),
            "?" | "h" | "help" => self.say(HELP.trim_end()),
            "x" => {
                self.options.expanded = switch(self.options.expanded, argument)?;
                self.say(&format!("Expanded display is {}.", on_off(self.options.expanded)));
            }
            "t" => {
                self.options.tuples_only = switch(self.options.tuples_only, argument)?;
                self.say(&format!("Tuples only is {}.", on_off(self.options.tuples_only)));
            }
            "timing" => {
                self.timing = switch(self.timing, argument)?;
                self.say(&format!("Timing is {}.", on_off(self.timing)));
            }
            "d" if !argument.is_empty() => return Ok(Action::Run(format!("DESCRIBE {argument}"))),
            "d" | "dt" => return Ok(Action::Run("SHOW TABLES".into())),
            "dn" => return Ok(Action::Run("SHOW SCHEMAS".into())),
            _ => return Err(format!("invalid command \\{name}\nTry \\? for help.")),
        }
        Ok(Action::Nothing)
    }
}

const HELP: &str = "  \\d           list tables
  \\d NAME      describe a table or view
  \\dn          list schemas
  \\x           one line a value, on or off
  \\t           only rows, on or off
  \\timing      show how long statements take, on or off
  \\g           end a statement, as a semicolon does
  \\q           quit, as exit and quit do
Statements end with a semicolon. COPY ... FROM STDIN takes the lines behind it, up to \\. on a line by itself.
Ctrl-C cancels the statement that runs, or clears the line.
";

fn place_prefix(file: Option<&str>, line: usize) -> String {
    file.map_or(String::new(), |file| format!("{file}:{line}: "))
}

fn switch(now: bool, argument: &str) -> Result<bool, String> {
    match argument {
        "" => Ok(!now),
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(format!("unrecognized value \"{other}\": on or off expected")),
    }
}

fn on_off(value: bool) -> &'static str {
    if value { "on" } else { "off" }
}

pub(super) fn cancelled() -> Error {
    Error::new(SqlState::QueryCanceled, "canceling statement due to user request")
}

impl Link {
    /// Waits for the session and shows notices as they come.
    async fn drive<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut work = std::pin::pin!(AssertUnwindSafe(work).catch_unwind());
        let ended = loop {
            tokio::select! {
                biased;
                ended = &mut work => break ended,
                Some(notice) = self.notices.recv() => eprint!("{}", notice_text(&notice)),
            }
        };
        self.show_notices();
        ended.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            let text = text.unwrap_or("unknown panic");
            Err(Error::internal(format!("internal error: {text}"))
                .hint("This is a bug. The statement had no effect."))
        })
    }

    fn show_notices(&mut self) {
        while let Ok(notice) = self.notices.try_recv() {
            eprint!("{}", notice_text(&notice));
        }
    }

    async fn print_rows(
        &mut self,
        schema: SchemaRef,
        mut stream: SendableRecordBatchStream,
        options: PrintOptions,
    ) -> Result<()> {
        let mut out = BufWriter::new(std::io::stdout());
        let mut printer = Printer::new(&mut out, self.format, options, schema);
        while let Some(batch) = self.drive(next(&mut stream)).await? {
            printer.push(batch)?;
        }
        printer.finish()?;
        Ok(())
    }

    /// Only tables are for eyes; csv and json hold results and nothing else.
    fn print_tag(&mut self, tag: &str) -> Result<()> {
        if self.format != OutputFormat::Table {
            return Ok(());
        }
        writeln!(self.out, "{tag}").map_err(write_error)
    }

    /// Gives COPY its data. One that is stopped cleans up before this returns.
    async fn copy_in(
        &mut self,
        mut target: Box<dyn CopyIn>,
        source: CopySource<'_, '_>,
        token: &CancellationToken,
    ) -> Result<()> {
        if let Err(error) = self.copy_data(target.as_mut(), source, token).await {
            target.abort(error.message()).await;
            return Err(error);
        }
        let tag = self.drive(target.finish()).await?;
        self.print_tag(&tag)
    }

    async fn copy_data(
        &mut self,
        target: &mut dyn CopyIn,
        source: CopySource<'_, '_>,
        token: &CancellationToken,
    ) -> Result<()> {
        match source {
            CopySource::Script(script) => self.push(target, script.copy_data(), token).await,
            CopySource::Stdin => self.push(target, &read_stdin()?, token).await,
            CopySource::Typed(read) => {
                eprintln!("{COPY_HINT}");
                let mut pushed = Ok(());
                while let Some(mut line) = read()?.filter(|line| !ends_data(line)) {
                    line.push('\n');
                    // What is behind a wrong line is data too, and no statements.
                    if pushed.is_ok() {
                        pushed = self.push(target, &line, token).await;
                    }
                }
                pushed
            }
        }
    }

    async fn push(
        &mut self,
        target: &mut dyn CopyIn,
        data: &str,
        token: &CancellationToken,
    ) -> Result<()> {
        for piece in data.as_bytes().chunks(COPY_PIECE) {
            tokio::select! {
                biased;
                () = token.cancelled() => return Err(cancelled()),
                pushed = self.drive(target.push(piece)) => pushed?,
            }
        }
        Ok(())
    }

    async fn copy_out(
        &mut self,
        schema: SchemaRef,
        mut stream: SendableRecordBatchStream,
        copy: &CopyOptions,
        options: &PrintOptions,
    ) -> Result<()> {
        let forced = copy.forced_columns(&schema);
        let framing = copy.framing(&forced);
        let mut encoder = RowEncoder::new(&schema, &[], &options.settings)?;
        encoder.set_copy_messages(false);
        let mut buffer = BytesMut::new();
        if copy.header != Header::None {
            encoder.copy_header(framing, &mut buffer)?;
        }
        while let Some(batch) = self.drive(next(&mut stream)).await? {
            encoder.encode_batch(&batch, 0..batch.num_rows(), framing, &mut buffer)?;
            self.out.write_all(&buffer).map_err(write_error)?;
            buffer.clear();
        }
        encoder.finish_copy(framing, &mut buffer)?;
        self.out.write_all(&buffer).map_err(write_error)
    }
}

async fn next(
    stream: &mut SendableRecordBatchStream,
) -> Result<Option<arrow::record_batch::RecordBatch>> {
    stream.next().await.transpose().map_err(Error::from)
}

/// The lines of the standard input up to `\.`; what follows is left for the next COPY.
fn read_stdin() -> Result<String> {
    let mut input = std::io::stdin().lock();
    let mut text = String::new();
    loop {
        let start = text.len();
        let read = input.read_line(&mut text).map_err(|error| {
            Error::new(SqlState::IoError, format!("cannot read standard input: {error}"))
                .source(error)
        })?;
        if read == 0 || ends_data(&text[start..]) {
            text.truncate(start);
            return Ok(text);
        }
    }
}

/// Whether standard output takes no more because its reader went away.
fn is_unread(error: &Error) -> bool {
    let cause = std::error::Error::source(error);
    let cause = cause.and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == ErrorKind::BrokenPipe)
}
