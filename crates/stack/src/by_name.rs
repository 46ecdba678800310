//! Kinds of things that are written by their names, in plans and in JSON.

/// There is nothing of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {what} {name}; there are {known}")]
pub struct Unknown {
    what: &'static str,
    name: String,
    known: String,
}

/// The one of this name.
///
/// # Errors
/// Names the known ones.
pub(crate) fn find<T: Copy>(
    what: &'static str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
    wanted: &str,
) -> Result<T, Unknown> {
    all.iter().copied().find(|one| name(*one) == wanted).ok_or_else(|| {
        let known = all.iter().map(|one| name(*one)).collect::<Vec<_>>().join(", ");
        Unknown { what, name: wanted.to_owned(), known }
    })
}

/// What serde and people need of a type with `ALL` and `name()`: its name, and the one of a name.
macro_rules! by_name {
    ($type:ident, $what:literal) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::by_name::Unknown;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::by_name::find($what, &Self::ALL, Self::name, text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = $crate::by_name::Unknown;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(target: $type) -> Self {
                target.name().to_owned()
            }
        }
    };
}

pub(crate) use by_name;
