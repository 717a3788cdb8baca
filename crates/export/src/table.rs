//! A table by its columns, for any format that knows tables.

use std::borrow::Cow;

/// A table with a name. All columns have the same length.
#[derive(Clone, PartialEq, Debug)]
pub struct Table<'a> {
    /// Its name, which is also its file's without the extension.
    pub name: &'static str,
    /// Number of rows.
    pub rows: usize,
    /// Its columns, in order.
    pub columns: Vec<Column<'a>>,
}

/// A column with a name.
#[derive(Clone, PartialEq, Debug)]
pub struct Column<'a> {
    /// Its name; a unit stands at the end: `_ns`, `_bytes`.
    pub name: &'static str,
    /// Its values.
    pub values: Values<'a>,
}

/// A column's values; `None` is unknown, and no text is empty.
#[derive(Clone, PartialEq, Debug)]
pub enum Values<'a> {
    /// Whole numbers. Signed, so that differences of times can be taken.
    Integer(Vec<Option<i64>>),
    /// Yes or no.
    Flag(Vec<Option<bool>>),
    /// Text.
    Text(Vec<Option<Cow<'a, str>>>),
}

impl Values<'_> {
    /// The type's name in the documents.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Integer(_) => "integer",
            Self::Flag(_) => "boolean",
            Self::Text(_) => "text",
        }
    }
}

/// Makes a table of rows, a column at a time. A row is a reference, or a few values.
pub(crate) struct Builder<'a, R> {
    rows: Vec<R>,
    table: Table<'a>,
}

impl<'a, R: Copy> Builder<'a, R> {
    pub fn of(name: &'static str, rows: impl IntoIterator<Item = R>) -> Self {
        let rows: Vec<R> = rows.into_iter().collect();
        let table = Table { name, rows: rows.len(), columns: Vec::new() };
        Self { rows, table }
    }

    /// The number of the row, by which other tables refer to it.
    pub fn numbered(self, name: &'static str) -> Self {
        let numbers = (0..self.rows.len()).map(|row| i64::try_from(row).ok()).collect();
        self.column(name, Values::Integer(numbers))
    }

    /// A number; one that does not fit is unknown.
    pub fn integer<N: TryInto<i64>>(
        self,
        name: &'static str,
        value: impl Fn(R) -> Option<N>,
    ) -> Self {
        let values = self.rows.iter().map(|&row| value(row)?.try_into().ok()).collect();
        self.column(name, Values::Integer(values))
    }

    pub fn flag(self, name: &'static str, value: impl Fn(R) -> bool) -> Self {
        let values = self.rows.iter().map(|&row| Some(value(row))).collect();
        self.column(name, Values::Flag(values))
    }

    pub fn text<T: Into<Cow<'a, str>>>(
        self,
        name: &'static str,
        value: impl Fn(R) -> Option<T>,
    ) -> Self {
        let text =
            |&row: &R| Some(value(row)?.into()).filter(|text: &Cow<'a, str>| !text.is_empty());
        let values = self.rows.iter().map(text).collect();
        self.column(name, Values::Text(values))
    }

    pub fn finish(self) -> Table<'a> {
        self.table
    }

    fn column(mut self, name: &'static str, values: Values<'a>) -> Self {
        self.table.columns.push(Column { name, values });
        self
    }
}
