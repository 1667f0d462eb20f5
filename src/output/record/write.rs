//! The texts of a record's fields, by their paths.

use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The texts of all fields in their order, those of fields of fields behind a dot. Lists and what is not known have none.
pub(crate) fn cells(record: &impl Serialize) -> Vec<(String, String)> {
    // JSON is what keeps the order, and what renames fields and leaves some out.
    let json = serde_json::to_string(record).expect("all keys are strings and writing to memory succeeds");
    let mut cells = Vec::new();
    let read = WrittenCell { path: String::new(), cells: &mut cells }
        .deserialize(&mut serde_json::Deserializer::from_str(&json));
    read.expect("what was just written is JSON");
    cells
}

/// The path of the value that comes next, and where its text goes.
struct WrittenCell<'a> {
    path: String,
    cells: &'a mut Vec<(String, String)>,
}

impl WrittenCell<'_> {
    fn text<E>(self, text: impl ToString) -> Result<(), E> {
        self.cells.push((self.path, text.to_string()));
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for WrittenCell<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for WrittenCell<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.text(value)
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.text(value)
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.text(value)
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.text(value)
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.text(value)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(name) = fields.next_key::<String>()? {
            let path = if self.path.is_empty() { name } else { format!("{}.{name}", self.path) };
            fields.next_value_seed(WrittenCell { path, cells: self.cells })?;
        }
        Ok(())
    }
}
