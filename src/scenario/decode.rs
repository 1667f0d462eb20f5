//! From TOML values to the form's types, with every fault that there is and not only the first.
//!
//! Knows no particular table of the form: [`super::form`] lists those.

use std::collections::BTreeSet;

use super::diagnostic::{Mistakes, Span, did_you_mean, likely, list};
use super::document::{Node, Table};

/// A list longer than this is a mistake, and checks over pairs would take long.
pub(super) const LIST_MAX: usize = 512;

/// Read from a TOML value. If it is wrong, `mistakes` has at least one more, and what is right of it may be returned.
pub(super) trait Decode: Sized {
    fn decode(node: &Node, mistakes: &mut Mistakes) -> Option<Self>;

    /// What follows for a key that holds it.
    fn traits() -> Traits {
        Traits::default()
    }
}

/// What the type of a key says of it, so that nobody has to list such keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Traits {
    /// Whether it is a list of tables.
    pub(super) is_list: bool,
    /// Whether its text names a file.
    pub(super) is_file: bool,
    /// Keys of tables in it, at any depth, whose texts name files.
    pub(super) file_keys: Vec<&'static str>,
}

impl Traits {
    /// Of a table with such keys.
    pub(super) fn of_table(keys: &[(&'static str, Traits)]) -> Traits {
        let own = keys.iter().filter(|(_, traits)| traits.is_file).map(|&(key, _)| key);
        let inner = keys.iter().flat_map(|(_, traits)| traits.file_keys.iter().copied());
        // Tables of several kinds may call their files alike.
        let file_keys: BTreeSet<&'static str> = own.chain(inner).collect();
        Traits { file_keys: file_keys.into_iter().collect(), ..Traits::default() }
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) at: Span,
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, mistakes: &mut Mistakes) -> Option<Self> {
        let Some(array) = node.as_list() else {
            let found = node.value.type_name();
            let cause = format!("a list is needed here, not {found}");
            mistakes.add(&node.at, cause, "write `[ .., .. ]`, or `[[ ]]` above each table of a list").label(found);
            return None;
        };
        if array.len() > LIST_MAX {
            let cause = format!("the list has {} entries", array.len());
            mistakes.add(&node.at, cause, format!("a list may have {LIST_MAX}"));
            return None;
        }
        let decoded: Vec<Option<T>> = array.iter().map(|entry| T::decode(entry, mistakes)).collect();
        // What is right of a list is still checked further; the fault keeps it from being used.
        Some(decoded.into_iter().flatten().collect())
    }

    fn traits() -> Traits {
        Traits { is_list: true, ..T::traits() }
    }
}

/// A table that is read key by key.
pub(super) struct Fields<'a> {
    table: &'a Table,
    at: Span,
    /// What the table describes, such as "the device".
    noun: &'static str,
    /// Known keys that unknown ones look like.
    misspelt: Vec<String>,
}

impl<'a> Fields<'a> {
    /// The keys of `node`, none of which may be other than `known`.
    pub(super) fn open(
        node: &'a Node,
        noun: &'static str,
        known: &[&str],
        mistakes: &mut Mistakes,
    ) -> Option<Fields<'a>> {
        let table = table(node, noun, mistakes)?;
        let mut misspelt = Vec::new();
        for entry in table.0.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            misspelt.extend(likely(&entry.key, known).map(|&key| key.to_owned()));
            let cause = format!("`{}` is not a key of {noun}", shorten(&entry.key));
            let remedy = did_you_mean(&entry.key, known, "keys");
            mistakes.add(&entry.key_at, cause, remedy).label("unknown key");
        }
        Some(Fields { table, at: node.at.clone(), noun, misspelt })
    }

    pub(super) fn optional<T: Decode>(&self, key: &str, mistakes: &mut Mistakes) -> Option<T> {
        T::decode(self.table.get(key)?, mistakes)
    }

    /// As `optional`, and it is a fault if it is missing; `example` shows how to write one.
    pub(super) fn required<T: Decode>(&self, key: &str, example: &str, mistakes: &mut Mistakes) -> Option<T> {
        if self.table.get(key).is_none() && !self.misspelt.iter().any(|misspelt| misspelt == key) {
            let cause = format!("{} has no `{key}`", self.noun);
            mistakes.add(&self.at, cause, format!("add for example `{example}`"));
        }
        self.optional(key, mistakes)
    }

    /// Exactly one of `keys` must be there, or none if one of `instead` is.
    pub(super) fn one_of(&self, keys: &[&str], instead: &[&str], example: &str, mistakes: &mut Mistakes) {
        let is_one = |key: &str| keys.contains(&key);
        let present: Vec<_> = self.table.0.iter().filter(|entry| is_one(&entry.key)).collect();
        match present.as_slice() {
            [] if self.misspelt.iter().any(|misspelt| is_one(misspelt)) => {}
            [] if instead.iter().any(|key| self.table.get(key).is_some()) => {}
            [] => {
                let keys = [instead, keys].concat();
                let what = if keys.len() == 1 { "no" } else { "none of" };
                let cause = format!("{} has {what} {}", self.noun, list(&keys));
                mistakes.add(&self.at, cause, format!("add for example `{example}`"));
            }
            [_] => {}
            [first, second, ..] => {
                let cause = format!("{} has both `{}` and `{}`", self.noun, first.key, second.key);
                let fault = mistakes.add(&second.key_at, cause, "keep one of them");
                fault.label("second").beside(&first.key_at, "first");
            }
        }
    }
}

/// The table that `node` is.
pub(super) fn table<'a>(node: &'a Node, noun: &str, mistakes: &mut Mistakes) -> Option<&'a Table> {
    let table = node.as_table();
    if table.is_none() {
        let found = node.value.type_name();
        let cause = format!("{noun} is a table, not {found}");
        mistakes.add(&node.at, cause, "write `{ key = value, .. }`").label(found);
    }
    table
}

/// A text that fits into a message.
pub(super) fn shorten(text: &str) -> String {
    if text.chars().count() <= 60 {
        return text.to_owned();
    }
    text.chars().take(57).chain("...".chars()).collect()
}

/// Defines tables of the form: a struct whose fields are all `Option`, with its schema and its reader.
///
/// A field with `= "example"` is required; the example is shown where it is missing. Of the fields after `@one_of`, a table
/// has exactly one, which is a `$kind_trait`; or none if the field after `unless` is there.
macro_rules! form {
    ($($(#[$meta:meta])* $name:ident ($noun:literal) {
        $($(#[$field_meta:meta])* $field:ident: $type:ty $(= $example:literal)?,)*
        $(@one_of $kind_example:literal as $kind_trait:ty $(, unless $instead:ident)? {
            $($(#[$kind_meta:meta])* $kind:ident: $kind_type:ty,)*
        })?
    })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        #[allow(dead_code, reason = "some fields are there to be checked and described only")]
        pub(in crate::scenario) struct $name {
            $(
                $(#[$field_meta])*
                $(#[schemars(required)] #[doc = concat!("\n\nFor example `", $example, "`.")])?
                pub(in crate::scenario) $field: Option<$type>,
            )*
            $($(
                $(#[$kind_meta])*
                pub(in crate::scenario) $kind: Option<$kind_type>,
            )*)?
            /// Where the table stands.
            #[schemars(skip)]
            pub(in crate::scenario) at: $crate::scenario::diagnostic::Span,
        }

        impl $crate::scenario::decode::Decode for $name {
            fn decode(
                node: &$crate::scenario::document::Node,
                mistakes: &mut $crate::scenario::diagnostic::Mistakes,
            ) -> Option<Self> {
                let known = [$(stringify!($field),)* $($(stringify!($kind),)*)?];
                let at = node.at.clone();
                // So that it still counts as an entry, whose name is not known.
                #[allow(unused_variables, reason = "a table may have no keys")]
                let Some(fields) = $crate::scenario::decode::Fields::open(node, $noun, &known, mistakes) else {
                    return Some($name { $($field: None,)* $($($kind: None,)*)? at });
                };
                $(fields.one_of(&[$(stringify!($kind)),*], &[$(stringify!($instead))?], $kind_example, mistakes);)?
                Some($name {
                    $($field: form!(@field fields $field mistakes $($example)?),)*
                    $($($kind: form!(@field fields $kind mistakes),)*)?
                    at,
                })
            }

            fn traits() -> $crate::scenario::decode::Traits {
                $crate::scenario::decode::Traits::of_table(&Self::keys())
            }
        }

        #[allow(dead_code, reason = "not every table is asked for everything")]
        impl $name {
            /// Its keys, with what their types say of them.
            pub(in crate::scenario) fn keys() -> Vec<(&'static str, $crate::scenario::decode::Traits)> {
                vec![
                    $((stringify!($field), <$type as $crate::scenario::decode::Decode>::traits()),)*
                    $($((stringify!($kind), <$kind_type as $crate::scenario::decode::Decode>::traits()),)*)?
                ]
            }

            $(
                /// The keys of which a table has exactly one.
                pub(in crate::scenario) const KINDS: &[&str] = &[$(stringify!($kind)),*];

                /// The first of these that is there.
                pub(in crate::scenario) fn kind(&self) -> Option<(&'static str, &$kind_trait)> {
                    $(
                        if let Some(kind) = &self.$kind {
                            return Some((stringify!($kind), kind));
                        }
                    )*
                    None
                }
            )?
        }
    )*};
    (@field $fields:ident $field:ident $mistakes:ident) => { $fields.optional(stringify!($field), $mistakes) };
    (@field $fields:ident $field:ident $mistakes:ident $example:literal) => {
        $fields.required(stringify!($field), $example, $mistakes)
    };
}
pub(super) use form;

/// Gives a type the schema that `$schema` makes, written out where the type is used.
macro_rules! inline_schema {
    ([$($generics:tt)*] $type:ty, $schema:expr) => {
        impl<$($generics)*> schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema = $schema;
                schema(generator)
            }
        }
    };
}
pub(super) use inline_schema;
