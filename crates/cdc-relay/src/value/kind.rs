//! Which JSON a PostgreSQL type becomes.

/// A type, as far as its JSON differs from others'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A single value.
    One(Element),
    /// An array of them, of any dimension.
    Array(Element),
}

/// A type that is no array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// Everything that has no form of its own in JSON: text, `numeric` (exact, so a string), enums, addresses, `xid8`.
    Text,
    /// `bool`
    Bool,
    /// `int2`, `int4`, `int8`, `oid`
    Integer,
    /// `float4`, `float8`
    Float,
    /// `json`, `jsonb`
    Json,
    /// `timestamp`
    Timestamp,
    /// `timestamptz`
    TimestampTz,
    /// `interval`
    Interval,
    /// pgvector's `vector`
    Vector,
}

impl Kind {
    /// The kind of a built-in type by its oid; `None` for a type that is not built in, which the stream names itself.
    #[must_use]
    pub fn built_in(oid: u32) -> Option<Self> {
        const FIRST_OF_USERS: u32 = 16_384;
        if oid >= FIRST_OF_USERS {
            return None;
        }
        Some(match oid {
            16 => Self::One(Element::Bool),
            20 | 21 | 23 | 26 => Self::One(Element::Integer),
            700 | 701 => Self::One(Element::Float),
            114 | 3802 => Self::One(Element::Json),
            1114 => Self::One(Element::Timestamp),
            1184 => Self::One(Element::TimestampTz),
            1186 => Self::One(Element::Interval),
            1000 => Self::Array(Element::Bool),
            1005 | 1007 | 1016 | 1028 => Self::Array(Element::Integer),
            1021 | 1022 => Self::Array(Element::Float),
            199 | 3807 => Self::Array(Element::Json),
            1115 => Self::Array(Element::Timestamp),
            1185 => Self::Array(Element::TimestampTz),
            1187 => Self::Array(Element::Interval),
            oid if ARRAYS_OF_TEXT.binary_search(&oid).is_ok() => Self::Array(Element::Text),
            _ => Self::One(Element::Text),
        })
    }

    /// The kind of a type by its name, as `pg_type` has it: an array's begins with an underscore.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name.strip_prefix('_') {
            Some(element) => Self::Array(Element::named(element)),
            None => Self::One(Element::named(name)),
        }
    }
}

impl Element {
    fn named(name: &str) -> Self {
        match name {
            "bool" => Self::Bool,
            "int2" | "int4" | "int8" | "oid" => Self::Integer,
            "float4" | "float8" => Self::Float,
            "json" | "jsonb" => Self::Json,
            "timestamp" => Self::Timestamp,
            "timestamptz" => Self::TimestampTz,
            "interval" => Self::Interval,
            "vector" => Self::Vector,
            _ => Self::Text,
        }
    }
}

/// Built-in array types whose elements are text in JSON, in order. Not among them: `_box`, whose elements are
/// separated by semicolons.
const ARRAYS_OF_TEXT: [u32; 68] = [
    143, 210, 270, 271, 272, 273, 629, 651, 719, 775, 791, 1001, 1002, 1003, 1006, 1008, 1009, 1010, 1011, 1012, 1013,
    1014, 1015, 1017, 1018, 1019, 1027, 1034, 1040, 1041, 1182, 1183, 1231, 1263, 1270, 1561, 1563, 2201, 2207, 2208,
    2209, 2210, 2211, 2949, 2951, 3221, 3643, 3644, 3645, 3735, 3770, 3905, 3907, 3909, 3911, 3913, 3927, 4073, 4090,
    4097, 4192, 5039, 6150, 6151, 6152, 6153, 6155, 6157,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_arrays_is_in_order() {
        assert!(ARRAYS_OF_TEXT.is_sorted(), "binary search needs it");
    }

    #[test]
    fn types_of_users_are_not_built_in() {
        assert_eq!(Kind::built_in(16_384), None);
        assert_eq!(Kind::built_in(25), Some(Kind::One(Element::Text)));
        assert_eq!(Kind::built_in(1009), Some(Kind::Array(Element::Text)));
        assert_eq!(Kind::built_in(3807), Some(Kind::Array(Element::Json)));
    }
}
