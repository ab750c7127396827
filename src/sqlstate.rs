//! SQLSTATE codes: the closed list of everything a statement may answer with.

macro_rules! sqlstates {
    ($($(#[$doc:meta])* $name:ident = $code:literal),* $(,)?) => {
        /// A PostgreSQL SQLSTATE. Clients branch on the five characters, so each error picks one on purpose.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum SqlState { $($(#[$doc])* $name),* }

        impl SqlState {
            /// Every code that this program can answer with.
            pub const ALL: &'static [SqlState] = &[$(SqlState::$name),*];

            /// The five characters that go over the wire.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(SqlState::$name => $code),* }
            }
        }
    };
}

sqlstates! {
    /// The statement succeeded.
    SuccessfulCompletion = "00000",
    /// A warning that fits no other class.
    Warning = "01000",
    /// A client broke the wire protocol.
    ProtocolViolation = "08P01",
    /// The outcome of a commit could not be settled.
    TransactionResolutionUnknown = "08007",
    /// Known syntax or option that is not built.
    FeatureNotSupported = "0A000",
    /// More than one source row for one target row.
    CardinalityViolation = "21000",
    /// A text is longer than varchar(n) allows.
    StringDataRightTruncation = "22001",
    /// A number does not fit its type.
    NumericValueOutOfRange = "22003",
    /// A date or time does not parse.
    InvalidDatetimeFormat = "22007",
    /// NULL where a value is needed.
    NullValueNotAllowed = "22004",
    /// A date or time lies outside of its type's range.
    DatetimeFieldOverflow = "22008",
    /// A substring of negative length.
    SubstringError = "22011",
    /// Division by zero.
    DivisionByZero = "22012",
    /// A regular expression that does not compile.
    InvalidRegularExpression = "2201B",
    /// A logarithm of zero or of a negative number.
    InvalidArgumentForLogarithm = "2201E",
    /// A root or a power that is no real number.
    InvalidArgumentForPower = "2201F",
    /// Bounds or a number of buckets that make none.
    InvalidArgumentForWidthBucket = "2201G",
    /// A negative LIMIT.
    InvalidRowCountInLimit = "2201W",
    /// A negative OFFSET.
    InvalidRowCountInOffset = "2201X",
    /// An option or argument has a value that it cannot take.
    InvalidParameterValue = "22023",
    /// Bytes that are not text in the client's encoding.
    CharacterNotInRepertoire = "22021",
    /// Text that is no value of the type it was cast to.
    InvalidTextRepresentation = "22P02",
    /// Binary data that does not decode.
    InvalidBinaryRepresentation = "22P03",
    /// A COPY line that does not fit the table.
    BadCopyFileFormat = "22P04",
    /// NULL in a NOT NULL column.
    NotNullViolation = "23502",
    /// A key stands twice.
    UniqueViolation = "23505",
    /// A CHECK constraint is not satisfied.
    CheckViolation = "23514",
    /// A cursor or portal is in the wrong state.
    InvalidCursorState = "24000",
    /// The statement must not run inside a transaction block.
    ActiveSqlTransaction = "25001",
    /// A write in a read-only transaction.
    ReadOnlySqlTransaction = "25006",
    /// There is no transaction in progress.
    NoActiveSqlTransaction = "25P01",
    /// The transaction is aborted until ROLLBACK.
    InFailedSqlTransaction = "25P02",
    /// A prepared statement does not exist.
    InvalidSqlStatementName = "26000",
    /// No such role, or it may not log in.
    InvalidAuthorizationSpecification = "28000",
    /// Objects depend on what is to be dropped.
    DependentObjectsStillExist = "2BP01",
    /// A portal does not exist.
    InvalidCursorName = "34000",
    /// A database does not exist.
    InvalidCatalogName = "3D000",
    /// A schema does not exist.
    InvalidSchemaName = "3F000",
    /// A concurrent commit won.
    SerializationFailure = "40001",
    /// The role may not do this.
    InsufficientPrivilege = "42501",
    /// The text does not parse.
    SyntaxError = "42601",
    /// A name that cannot be used.
    InvalidName = "42602",
    /// A name longer than allowed.
    NameTooLong = "42622",
    /// A column stands twice.
    DuplicateColumn = "42701",
    /// A column name means two things.
    AmbiguousColumn = "42702",
    /// A column does not exist.
    UndefinedColumn = "42703",
    /// An object does not exist.
    UndefinedObject = "42704",
    /// An object exists already.
    DuplicateObject = "42710",
    /// An alias stands twice.
    DuplicateAlias = "42712",
    /// A function call fits several functions.
    AmbiguousFunction = "42725",
    /// A column that must be grouped.
    GroupingError = "42803",
    /// A window function where none may stand.
    WindowingError = "42P20",
    /// A value of the wrong type.
    DatatypeMismatch = "42804",
    /// The object is of another kind.
    WrongObjectType = "42809",
    /// A cast that does not exist.
    CannotCoerce = "42846",
    /// A function does not exist.
    UndefinedFunction = "42883",
    /// A reserved name.
    ReservedName = "42939",
    /// A relation does not exist.
    UndefinedTable = "42P01",
    /// A parameter does not exist.
    UndefinedParameter = "42P02",
    /// A cursor exists already.
    DuplicateCursor = "42P03",
    /// A prepared statement exists already.
    DuplicatePreparedStatement = "42P05",
    /// A schema exists already.
    DuplicateSchema = "42P06",
    /// A relation exists already.
    DuplicateTable = "42P07",
    /// A column reference in the wrong place.
    InvalidColumnReference = "42P10",
    /// A column definition that contradicts itself.
    InvalidColumnDefinition = "42P11",
    /// An object definition that contradicts itself.
    InvalidObjectDefinition = "42P17",
    /// The type of a parameter cannot be told.
    IndeterminateDatatype = "42P18",
    /// A table definition that contradicts itself.
    InvalidTableDefinition = "42P16",
    /// A resource is used up.
    InsufficientResources = "53000",
    /// The disk is full.
    DiskFull = "53100",
    /// The memory bound is reached.
    OutOfMemory = "53200",
    /// No more connections.
    TooManyConnections = "53300",
    /// A statement or expression is nested too deeply.
    StatementTooComplex = "54001",
    /// A value would be larger than any may be.
    ProgramLimitExceeded = "54000",
    /// More columns than a table may have.
    TooManyColumns = "54011",
    /// An object is in a state that does not allow this.
    ObjectNotInPrerequisiteState = "55000",
    /// Something is in use that must not be.
    ObjectInUse = "55006",
    /// A setting that cannot be changed now.
    CantChangeRuntimeParam = "55P02",
    /// The user cancelled, or a timeout did.
    QueryCanceled = "57014",
    /// The server is going down.
    AdminShutdown = "57P01",
    /// The server is not ready yet.
    CannotConnectNow = "57P03",
    /// The operating system answered with an error.
    IoError = "58030",
    /// A file does not exist.
    UndefinedFile = "58P01",
    /// A bug in this program.
    InternalError = "XX000",
    /// Stored data is damaged.
    DataCorrupted = "XX001",
}

#[cfg(test)]
mod tests {
    use super::SqlState;
    use std::collections::HashSet;

    #[test]
    fn codes_are_five_characters_and_unique() {
        let mut seen = HashSet::new();
        for state in SqlState::ALL {
            assert_eq!(state.code().len(), 5, "{state:?}");
            assert!(seen.insert(state.code()), "{state:?} shares its code");
        }
    }
}
