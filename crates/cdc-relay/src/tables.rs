//! The shapes of tables as the stream has told them. It lives as long as one connection: PostgreSQL tells them again.

use std::collections::HashMap;
use std::sync::Arc;

use crate::pgoutput::Relation;
use crate::value::Kind;

/// A table, ready to read rows of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// In the order of a row's values.
    pub columns: Vec<TableColumn>,
    /// Which column is `traceparent`, if there is one.
    pub traceparent: Option<usize>,
}

/// A column of a [`Table`].
#[derive(Debug, PartialEq, Eq)]
pub struct TableColumn {
    /// Its name.
    pub name: String,
    /// How its values become JSON.
    pub kind: Kind,
    /// Whether it is part of the primary key.
    pub key: bool,
}

impl Table {
    /// Whether rows of the table have a key.
    #[must_use]
    pub fn has_key(&self) -> bool {
        self.columns.iter().any(|column| column.key)
    }
}

/// All tables and types of one connection.
#[derive(Debug, Default)]
pub struct Tables {
    tables: HashMap<u32, Arc<Table>>,
    types: HashMap<u32, Kind>,
}

impl Tables {
    /// The table, if the stream has described it.
    #[must_use]
    pub fn get(&self, oid: u32) -> Option<Arc<Table>> {
        self.tables.get(&oid).cloned()
    }

    /// Remembers the name of a type that is not built in.
    pub fn name_type(&mut self, oid: u32, name: &str) {
        self.types.insert(oid, Kind::named(name));
    }

    /// Remembers a table, in place of what was known of it.
    /// `primary_key` names the key's columns where the relation does not mark them itself.
    pub fn describe(&mut self, relation: Relation, primary_key: Option<&[String]>) -> Arc<Table> {
        let columns: Vec<TableColumn> = relation
            .columns
            .into_iter()
            .map(|column| TableColumn {
                key: primary_key.map_or(column.identity, |names| names.contains(&column.name)),
                kind: Kind::built_in(column.type_oid)
                    .or_else(|| self.types.get(&column.type_oid).copied())
                    .unwrap_or(Kind::named("")),
                name: column.name,
            })
            .collect();
        let table = Arc::new(Table {
            schema: if relation.schema.is_empty() { "pg_catalog".to_owned() } else { relation.schema },
            name: relation.table,
            traceparent: columns.iter().position(|column| column.name == "traceparent"),
            columns,
        });
        self.tables.insert(relation.oid, table.clone());
        table
    }
}

impl Relation {
    /// Whether the flags of the columns mark the primary key: only with the default replica identity.
    #[must_use]
    pub fn marks_primary_key(&self) -> bool {
        self.replica_identity == b'd'
    }
}
