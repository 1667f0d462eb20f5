//! The TOML form.
