//! What every row has to keep to.

use crate::error::RowProblem;
use crate::row::EventRow;

/// As many as a record has bits for missing fields.
const FIELDS_MAX: usize = 32;

pub(crate) fn check_name(name: &str) -> Result<(), RowProblem> {
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    if starts
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    {
        return Ok(());
    }
    Err(RowProblem::BadName {
        name: name.to_owned(),
    })
}

/// Names that expressions and sites refer to, with the expression of the row itself.
fn names(event: &EventRow) -> impl Iterator<Item = (&str, Option<&str>)> {
    let fields = event
        .fields
        .iter()
        .map(|field| (field.name.as_str(), field.fetch.as_deref()));
    event
        .bind
        .iter()
        .map(|bind| (bind.name.as_str(), bind.fetch.as_deref()))
        .chain(fields)
}

pub(crate) fn check_names(event: &EventRow) -> Result<(), RowProblem> {
    if event.fields.len() > FIELDS_MAX {
        return Err(RowProblem::TooManyFields {
            count: event.fields.len(),
            max: FIELDS_MAX,
        });
    }
    let mut seen = Vec::new();
    for (name, _) in names(event) {
        if seen.contains(&name) {
            return Err(RowProblem::DuplicateField {
                name: name.to_owned(),
            });
        }
        seen.push(name);
    }
    Ok(())
}

pub(crate) fn check_sites(event: &EventRow) -> Result<(), RowProblem> {
    if event.sites.is_empty() || event.sites.iter().any(|site| site.hooks.is_empty()) {
        return Err(RowProblem::NoHooks);
    }
    for (index, site) in event.sites.iter().enumerate() {
        if let Some(name) = site
            .set
            .keys()
            .find(|name| !names(event).any(|(known, _)| known == name.as_str()))
        {
            return Err(RowProblem::SetsUnknown {
                name: name.clone(),
                site: index,
            });
        }
        let unset =
            names(event).find(|(name, fetch)| fetch.is_none() && !site.set.contains_key(*name));
        if let Some((name, _)) = unset {
            return Err(RowProblem::NoExpression {
                name: name.to_owned(),
                site: index,
            });
        }
    }
    Ok(())
}
