//! The event table as TOML has it; only shapes, no rules.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFile {
    pub(crate) category: String,
    #[serde(default)]
    pub(crate) core: bool,
    #[serde(default, rename = "enum")]
    pub(crate) enums: Vec<RawEnum>,
    /// Rows that others are made like, and that record nothing themselves.
    #[serde(default, rename = "template")]
    pub(crate) templates: Vec<RawEvent>,
    #[serde(default, rename = "event")]
    pub(crate) events: Vec<RawEvent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawEnum {
    pub(crate) name: Spanned<String>,
    pub(crate) source: Option<String>,
    #[serde(default)]
    pub(crate) values: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawEvent {
    pub(crate) id: Option<u16>,
    pub(crate) name: Spanned<String>,
    pub(crate) ltt: Option<String>,
    #[serde(default)]
    pub(crate) doc: String,
    pub(crate) core: Option<bool>,
    #[serde(default)]
    pub(crate) sticky: bool,
    pub(crate) end: Option<String>,
    pub(crate) like: Option<String>,
    pub(crate) fields_like: Option<String>,
    #[serde(default)]
    pub(crate) hooks: Vec<String>,
    #[serde(default, rename = "site")]
    pub(crate) sites: Vec<RawSite>,
    #[serde(default)]
    pub(crate) bind: Vec<Spanned<String>>,
    pub(crate) when: Option<String>,
    #[serde(default)]
    pub(crate) fields: Vec<RawField>,
    #[serde(default)]
    pub(crate) retired: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSite {
    pub(crate) hooks: Vec<String>,
    pub(crate) unless: Option<String>,
    #[serde(default)]
    pub(crate) set: BTreeMap<String, String>,
    pub(crate) when: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawField {
    pub(crate) name: Spanned<String>,
    #[serde(rename = "type")]
    pub(crate) type_name: String,
    pub(crate) unit: Option<String>,
    #[serde(default)]
    pub(crate) doc: String,
    pub(crate) fetch: Option<String>,
}
