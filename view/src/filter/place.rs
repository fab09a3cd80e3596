//! What may stand at the end of an unfinished filter.

use super::scan::{Piece, PieceKind};

/// A name, with the event that it is qualified by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name<'t> {
    pub(super) qualifier: Option<&'t str>,
    pub(super) name: &'t str,
}

/// What may stand at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'t> {
    /// A test.
    Test,
    /// A field of the event with that name.
    FieldOf(&'t str),
    /// What is to be done with a name.
    Operator(Name<'t>),
    /// Only `in`, after `not`.
    In(Name<'t>),
    /// The list of values that a name is compared with.
    List(Name<'t>),
    /// A value that a name is compared with, or a pattern.
    Value {
        name: Name<'t>,
        is_pattern: bool,
        is_list: bool,
    },
    /// What goes on with a list.
    ListEnd(Name<'t>),
    /// What goes on with a filter that is whole.
    Joint,
    /// Nothing that could be told.
    Nothing,
}

/// What may stand behind those pieces of a text, and how many parentheses around tests are open.
pub(super) fn behind<'t>(text: &'t str, pieces: &[Piece]) -> (Place<'t>, usize) {
    let (mut place, mut depth) = (Place::Test, 0_usize);
    let mut word = "";
    for piece in pieces {
        let own = &text[piece.place.clone()];
        match (place, piece.kind) {
            (Place::Test, PieceKind::Open) => depth += 1,
            (Place::Joint | Place::Operator(_), PieceKind::Close) => {
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
        place = next(place, piece.kind, own, word);
        word = own;
    }
    (place, depth)
}

/// What may stand behind a piece; `word` is the one before it.
fn next<'t>(place: Place<'t>, kind: PieceKind, own: &'t str, word: &'t str) -> Place<'t> {
    use PieceKind as P;
    let plain = |name| Name {
        qualifier: None,
        name,
    };
    match (place, kind) {
        (Place::Test, P::Not | P::Open) | (Place::Operator(_) | Place::Joint, P::Join) => {
            Place::Test
        }
        (Place::Test, P::Word) => Place::Operator(plain(own)),
        (Place::Operator(name), P::Dot) if name.qualifier.is_none() => Place::FieldOf(word),
        (Place::FieldOf(event), P::Word) => Place::Operator(Name {
            qualifier: Some(event),
            name: own,
        }),
        (Place::Operator(name), P::Compare | P::Matches) => Place::Value {
            name,
            is_pattern: kind == P::Matches,
            is_list: false,
        },
        (Place::Operator(name), P::Not) => Place::In(name),
        (Place::Operator(name) | Place::In(name), P::In) => Place::List(name),
        (Place::List(name), P::Open) | (Place::ListEnd(name), P::Comma) => Place::Value {
            name,
            is_pattern: false,
            is_list: true,
        },
        (Place::Value { name, is_list, .. }, P::Word | P::Number | P::Text) => {
            if is_list {
                Place::ListEnd(name)
            } else {
                Place::Joint
            }
        }
        (Place::ListEnd(_) | Place::Joint | Place::Operator(_), P::Close) => Place::Joint,
        _ => Place::Nothing,
    }
}
