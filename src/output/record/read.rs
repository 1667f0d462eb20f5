//! Reads records back, with all faults of a file at once.

use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use crate::output::read::{CsvMistake, Line, read_rows};

/// The names of a record's fields.
pub(crate) fn fields<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut names = None;
    // It asks for its fields by their names, and is told nothing.
    let _ = T::deserialize(FieldNames(&mut names));
    names.expect("a record is a struct")
}

struct FieldNames<'a>(&'a mut Option<&'static [&'static str]>);

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("no struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = Some(fields);
        Err(Error::custom("the fields are known"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The records of a file that [`records_csv`](super::records_csv) wrote; columns may be in any order.
///
/// # Errors
/// All faults of the file, in its order.
pub(crate) fn read_csv<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<Vec<T>, Vec<CsvMistake>> {
    read_each(bytes, |_, record| Some(record))
}

/// What `check` makes of each record, or the faults that it adds to the line.
///
/// # Errors
/// All faults of the file, in its order.
pub(crate) fn read_each<T: for<'de> Deserialize<'de>, R>(
    bytes: &[u8],
    mut check: impl FnMut(&mut Line<'_>, T) -> Option<R>,
) -> Result<Vec<R>, Vec<CsvMistake>> {
    read_rows(bytes, fields::<T>(), |line| {
        let mut is_sound = true;
        let record = T::deserialize(Record { line, is_sound: &mut is_sound });
        match record {
            Ok(record) if is_sound => check(line, record),
            _ => None,
        }
    })
}

/// A line. What cannot be read is told of and taken for nothing, so that the faults of further cells are found too.
struct Record<'a, 'l> {
    line: &'a mut Line<'l>,
    is_sound: &'a mut bool,
}

impl<'de> Deserializer<'de> for Record<'_, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("no struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(ColumnsLeft { record: self, left: fields })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The columns of a line that were not read yet.
struct ColumnsLeft<'a, 'l> {
    record: Record<'a, 'l>,
    left: &'static [&'static str],
}

impl<'de> MapAccess<'de> for ColumnsLeft<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.left.first().map(|name| seed.deserialize(StrDeserializer::new(name))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (column, left) = self.left.split_first().ok_or_else(|| Error::custom("no column is left"))?;
        self.left = left;
        seed.deserialize(ReadCell { record: &mut self.record, column })
    }
}

/// A cell of a line.
struct ReadCell<'c, 'a, 'l> {
    record: &'c mut Record<'a, 'l>,
    column: &'static str,
}

impl ReadCell<'_, '_, '_> {
    fn text(&self) -> &str {
        self.record.line.text(self.column)
    }

    /// The value, or that it is not what was expected, and a default.
    fn or_fault<T: Default>(self, value: Option<T>, expected: &str) -> T {
        *self.record.is_sound &= value.is_some();
        self.record.line.or_fault(value, self.column, expected).unwrap_or_default()
    }
}

impl<'de> Deserializer<'de> for ReadCell<'_, '_, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.text())
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.text().parse().ok();
        visitor.visit_u32(self.or_fault(value, "a whole number from 0 to 4294967295"))
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.text().parse().ok();
        visitor.visit_u64(self.or_fault(value, "a whole number from 0 to 2^64 - 1"))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.text().parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0);
        visitor.visit_f64(self.or_fault(value, "a finite number from 0 on"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.text().is_empty() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let found = variants.iter().position(|name| *name == self.text());
        let quoted: Vec<String> = variants.iter().map(|name| format!("`{name}`")).collect();
        let expected = match quoted.split_last() {
            Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
            _ => quoted.concat(),
        };
        visitor.visit_enum(StrDeserializer::new(variants[self.or_fault(found, &expected)]))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 f32 char str string bytes byte_buf unit unit_struct newtype_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}
