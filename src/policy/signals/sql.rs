//! SQL, read by a parser: what the statements do, to which tables.
//!
//! Which database will read a statement is not known, so it is read in five dialects, and what it does in any of them
//! counts. What none of them reads is unparsed, and rules should read that as the worst.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};
use sqlparser::ast::{
    BinaryOperator, CopySource, CopyTarget, Expr, Grant, GrantObjects, ObjectName, ObjectType, Query, Revoke,
    Select, SetExpr, Statement, Value, Visit as _, Visitor,
};
use sqlparser::dialect::{
    Dialect, GenericDialect, MsSqlDialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect,
};
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

/// Bytes of one text that is parsed.
const TEXT_MAX_BYTES: usize = 64 * 1024;
/// Brackets open at once: the parser tries some of them in several ways, each of which tries those within.
const BRACKETS_MAX: usize = 12;
/// Expressions within each other; the parser recurses.
const DEPTH_MAX: usize = 32;
/// Operators of one expression: a chain of them is a tree as deep.
const CHAIN_MAX: usize = 192;
/// Set operations and joins, four for each: they make a chain that commas do not end.
const OPENERS_MAX: usize = 512;
/// Tables of one call, and bytes of each name.
const TABLES_MAX: usize = 64;
const TABLE_MAX_BYTES: usize = 256;

/// What SQL statements do. All statements of a call together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SqlFacts {
    /// How many.
    pub statements: u32,
    /// Something is read.
    pub reads: bool,
    /// Rows are written: insert, update, delete, merge, copy; or a procedure is called, which may.
    pub writes: bool,
    /// Tables or other objects are made, changed or removed.
    pub ddl: bool,
    /// Rights, roles or users are changed.
    pub grants: bool,
    /// An update or delete without a condition, or one that is always true; a truncated table.
    pub unfiltered: bool,
    /// A condition that is always true (`1 = 1`).
    pub tautology: bool,
    /// Files, programs or other servers are reached, or the server is set up differently.
    pub escapes: bool,
    /// There are comments: what follows them may be meant for another reader.
    pub comments: bool,
    /// Some of it did not parse, in any dialect.
    pub unparsed: bool,
    /// The tables named, in lower case, without quotes.
    pub tables: BTreeSet<String>,
}

/// Why a text was not read.
enum Refused {
    NotSql,
    OverBudget,
}

/// Adds what an argument does; `None` is an argument that is no text. Says whether it was over a bound.
pub(super) fn read(text: Option<&str>, facts: &mut SqlFacts) -> bool {
    let Some(text) = text else {
        facts.unparsed = true;
        return false;
    };
    if text.len() > TEXT_MAX_BYTES {
        facts.unparsed = true;
        return true;
    }
    let dialects: [&dyn Dialect; 5] =
        [&GenericDialect {}, &PostgreSqlDialect {}, &MySqlDialect {}, &SQLiteDialect {}, &MsSqlDialect {}];
    let (mut parsed, mut over, mut statements) = (false, false, 0_u32);
    for dialect in dialects {
        // The parser is not ours: what would be a panic in it is a text that cannot be read.
        match catch_unwind(AssertUnwindSafe(|| in_dialect(dialect, text))).unwrap_or(Err(Refused::NotSql)) {
            Ok(found) => {
                parsed = true;
                statements = statements.max(found.facts.statements);
                over |= found.over;
                unite(facts, found.facts);
            }
            Err(Refused::NotSql) => {}
            Err(Refused::OverBudget) => over = true,
        }
    }
    facts.statements = facts.statements.saturating_add(statements);
    facts.unparsed |= !parsed || over;
    over
}

fn unite(facts: &mut SqlFacts, more: SqlFacts) {
    facts.reads |= more.reads;
    facts.writes |= more.writes;
    facts.ddl |= more.ddl;
    facts.grants |= more.grants;
    facts.unfiltered |= more.unfiltered;
    facts.tautology |= more.tautology;
    facts.escapes |= more.escapes;
    facts.comments |= more.comments;
    facts.tables.extend(more.tables);
}

fn in_dialect(dialect: &dyn Dialect, text: &str) -> Result<Reader, Refused> {
    let tokens = Tokenizer::new(dialect, text).tokenize().map_err(|_| Refused::NotSql)?;
    let comments = tokens.iter().any(|token| {
        matches!(
            token,
            Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_))
        )
    });
    if !is_shallow(&tokens) {
        return Err(Refused::OverBudget);
    }
    let statements = Parser::new(dialect)
        .with_recursion_limit(DEPTH_MAX)
        .with_tokens(tokens)
        .parse_statements()
        .map_err(|_| Refused::NotSql)?;
    let mut reader = Reader::default();
    reader.facts.comments = comments;
    reader.facts.statements = u32::try_from(statements.len()).unwrap_or(u32::MAX);
    let _ = statements.visit(&mut reader);
    Ok(reader)
}

/// Whether no expression can become deeper than the parser and what walks its tree have stack for, and no nesting
/// takes the parser long.
fn is_shallow(tokens: &[Token]) -> bool {
    let mut chains = vec![0_usize];
    let mut openers = 0_usize;
    for token in tokens {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => chains.push(0),
            Token::RParen | Token::RBracket | Token::RBrace => {
                if chains.len() > 1 {
                    chains.pop();
                }
            }
            Token::Comma | Token::SemiColon => {
                if let Some(top) = chains.last_mut() {
                    *top = 0;
                }
            }
            Token::Word(word) => match word.keyword {
                Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS | Keyword::JOIN => {
                    openers = openers.saturating_add(4);
                }
                Keyword::NoKeyword => {}
                Keyword::CASE => chains.push(0),
                Keyword::END if chains.len() > 1 => {
                    chains.pop();
                }
                _ => bump(&mut chains),
            },
            Token::Number(..) | Token::Whitespace(_) | Token::SingleQuotedString(_) | Token::Period => {}
            _ => bump(&mut chains),
        }
        let depth = chains.iter().fold(0_usize, |sum, chain| sum.saturating_add(*chain));
        if chains.len() > BRACKETS_MAX || depth > CHAIN_MAX || openers > OPENERS_MAX {
            return false;
        }
    }
    true
}

fn bump(chains: &mut [usize]) {
    if let Some(top) = chains.last_mut() {
        *top = top.saturating_add(1);
    }
}

/// Walks the trees.
#[derive(Default)]
struct Reader {
    facts: SqlFacts,
    over: bool,
}

impl Visitor for Reader {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        // Rows written out are not read from anywhere.
        self.facts.reads |=
            matches!(*query.body, SetExpr::Select(_) | SetExpr::SetOperation { .. } | SetExpr::Table(_));
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.facts.reads = true;
        self.select(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        self.table(relation);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function) => {
                let name =
                    function.name.0.last().map(|part| part.to_string().to_lowercase()).unwrap_or_default();
                self.facts.escapes |= reaches_out(name.trim_matches(['"', '`', '[', ']']));
            }
            expr => self.facts.tautology |= is_always_true(expr),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        self.statement(statement);
        ControlFlow::Continue(())
    }
}

impl Reader {
    fn table(&mut self, name: &ObjectName) {
        let parts = name.0.iter().map(|part| match part.as_ident() {
            Some(ident) => ident.value.to_lowercase(),
            None => part.to_string().to_lowercase(),
        });
        self.named(&parts.collect::<Vec<_>>().join("."));
    }

    fn named(&mut self, name: &str) {
        let tables = &mut self.facts.tables;
        if name.len() <= TABLE_MAX_BYTES && (tables.len() < TABLES_MAX || tables.contains(name)) {
            tables.insert(name.to_owned());
        } else {
            self.over = true;
        }
    }

    /// `SELECT … INTO` makes a table; a condition alone may be a constant.
    fn select(&mut self, select: &Select) {
        if let Some(into) = &select.into {
            self.facts.ddl = true;
            self.facts.writes = true;
            for target in &into.targets {
                match target {
                    Expr::Identifier(name) => self.named(&name.value.to_lowercase()),
                    Expr::CompoundIdentifier(parts) => {
                        let parts: Vec<String> = parts.iter().map(|part| part.value.to_lowercase()).collect();
                        self.named(&parts.join("."));
                    }
                    _ => self.over = true,
                }
            }
        }
        self.facts.tautology |= select.selection.as_ref().is_some_and(is_constant_truth);
    }

    fn statement(&mut self, statement: &Statement) {
        let facts = &mut self.facts;
        match statement {
            Statement::Query(_) => {}
            Statement::Explain { .. } | Statement::ExplainTable { .. } | Statement::Fetch { .. } => {
                facts.reads = true;
            }
            Statement::Insert(_) | Statement::Merge(_) | Statement::Call(_) => facts.writes = true,
            Statement::Update(update) => {
                facts.writes = true;
                facts.unfiltered |= update.selection.as_ref().is_none_or(is_constant_truth_or_always);
            }
            Statement::Delete(delete) => {
                facts.writes = true;
                facts.unfiltered |= delete.selection.as_ref().is_none_or(is_constant_truth_or_always);
            }
            Statement::Truncate(truncate) => {
                facts.writes = true;
                facts.unfiltered = true;
                for target in &truncate.table_names {
                    self.table(&target.name);
                }
            }
            Statement::Grant(Grant { objects: Some(GrantObjects::Tables(names)), .. })
            | Statement::Revoke(Revoke { objects: Some(GrantObjects::Tables(names)), .. }) => {
                facts.grants = true;
                facts.ddl = true;
                names.iter().for_each(|name| self.table(name));
            }
            Statement::Copy { source, to, target, .. } => {
                if let CopySource::Table { table_name, .. } = source {
                    self.table(table_name);
                }
                let facts = &mut self.facts;
                facts.reads |= *to;
                facts.writes |= !*to;
                facts.escapes |= matches!(target, CopyTarget::File { .. } | CopyTarget::Program { .. });
            }
            Statement::Drop { object_type, names, .. } => {
                facts.ddl = true;
                facts.grants |= matches!(object_type, ObjectType::Role | ObjectType::User);
                for name in names {
                    self.table(name);
                }
            }
            other => other_kind(other, facts),
        }
    }
}

/// The statements by what their kind alone says. A kind that is not here is made, changed or removed.
fn other_kind(statement: &Statement, facts: &mut SqlFacts) {
    match statement {
        Statement::ShowFunctions { .. }
        | Statement::ShowVariable { .. }
        | Statement::ShowStatus { .. }
        | Statement::ShowVariables { .. }
        | Statement::ShowCreate { .. }
        | Statement::ShowColumns { .. }
        | Statement::ShowDatabases { .. }
        | Statement::ShowSchemas { .. }
        | Statement::ShowTables { .. }
        | Statement::ShowViews { .. }
        | Statement::ShowCollation { .. } => facts.reads = true,
        Statement::StartTransaction { .. }
        | Statement::Commit { .. }
        | Statement::Rollback { .. }
        | Statement::Savepoint { .. }
        | Statement::ReleaseSavepoint { .. }
        | Statement::Use(_)
        | Statement::Assert { .. }
        | Statement::Close { .. }
        | Statement::Deallocate { .. }
        | Statement::Print(_)
        | Statement::Analyze(_) => {}
        Statement::Grant(_)
        | Statement::Deny(_)
        | Statement::Revoke(_)
        | Statement::CreateRole(_)
        | Statement::AlterRole { .. }
        | Statement::CreateUser(_)
        | Statement::AlterUser(_)
        | Statement::CreatePolicy(_)
        | Statement::AlterPolicy(_)
        | Statement::DropPolicy(_) => {
            facts.grants = true;
            facts.ddl = true;
        }
        Statement::Set(_)
        | Statement::Reset(_)
        | Statement::Pragma { .. }
        | Statement::Execute { .. }
        | Statement::Prepare { .. }
        | Statement::Install { .. }
        | Statement::Load { .. }
        | Statement::LoadData { .. }
        | Statement::Directory { .. }
        | Statement::AttachDatabase { .. }
        | Statement::AttachDuckDBDatabase { .. }
        | Statement::Unload { .. }
        | Statement::ExportData(_)
        | Statement::Kill { .. }
        | Statement::Flush { .. }
        | Statement::Put { .. }
        | Statement::CopyIntoSnowflake { .. } => {
            facts.escapes = true;
            facts.writes = true;
        }
        Statement::CreateExtension(_)
        | Statement::CreateServer(_)
        | Statement::CreateConnector(_)
        | Statement::CreateSecret { .. }
        | Statement::CreateFunction(_)
        | Statement::CreateProcedure { .. }
        | Statement::CreateTrigger(_) => {
            facts.escapes = true;
            facts.ddl = true;
        }
        _ => facts.ddl = true,
    }
}

/// Functions that reach files, programs or other servers.
fn reaches_out(name: &str) -> bool {
    const OUT: &[&str] = &[
        "pg_read_file",
        "pg_read_binary_file",
        "pg_ls_dir",
        "pg_stat_file",
        "pg_write_file",
        "lo_import",
        "lo_export",
        "dblink",
        "dblink_exec",
        "dblink_connect",
        "load_file",
        "load_extension",
        "readfile",
        "writefile",
        "fts3_tokenizer",
        "sys_exec",
        "sys_eval",
        "openrowset",
        "opendatasource",
        "openquery",
        "utl_http",
        "utl_file",
        "query_to_xml",
        "database_to_xml",
        "pg_terminate_backend",
        "pg_cancel_backend",
        "pg_reload_conf",
        "set_config",
        "pg_sleep",
        "sleep",
        "benchmark",
        "waitfor",
        "edit",
    ];
    OUT.contains(&name) || name.starts_with("xp_") || name.starts_with("sp_oa")
}

/// `1 = 1`, `'a' = 'a'`, `x = x`, or a true side of an `OR`.
fn is_always_true(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Eq | BinaryOperator::GtEq | BinaryOperator::LtEq,
            right,
        } => match (bare(left), bare(right)) {
            (Expr::Value(left), Expr::Value(right)) => left.value == right.value,
            (Expr::Identifier(left), Expr::Identifier(right)) => left == right,
            (Expr::CompoundIdentifier(left), Expr::CompoundIdentifier(right)) => left == right,
            _ => false,
        },
        Expr::BinaryOp {
            left,
            op: BinaryOperator::NotEq | BinaryOperator::Lt | BinaryOperator::Gt,
            right,
        } => {
            matches!((bare(left), bare(right)), (Expr::Value(_), Expr::Value(_)))
        }
        Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
            is_constant_truth(left) || is_constant_truth(right)
        }
        Expr::Like { expr, pattern, negated: false, .. }
        | Expr::ILike { expr, pattern, negated: false, .. } => {
            let all = matches!(bare(pattern), Expr::Value(value) if matches!(&value.value, Value::SingleQuotedString(text) if text == "%"));
            all && !matches!(bare(expr), Expr::Value(_))
        }
        _ => false,
    }
}

/// A constant that is true.
fn is_constant_truth(expr: &Expr) -> bool {
    match bare(expr) {
        Expr::Value(value) => match &value.value {
            Value::Boolean(truth) => *truth,
            Value::Number(number, _) => number.to_string().parse::<f64>().is_ok_and(|number| number != 0.0),
            _ => false,
        },
        _ => false,
    }
}

fn is_constant_truth_or_always(expr: &Expr) -> bool {
    let expr = bare(expr);
    is_constant_truth(expr)
        || is_always_true(expr)
        || matches!(expr, Expr::BinaryOp { left, op: BinaryOperator::Or, right }
            if is_always_true(bare(left)) || is_always_true(bare(right)))
}

fn bare(expr: &Expr) -> &Expr {
    let mut expr = expr;
    while let Expr::Nested(inner) = expr {
        expr = inner;
    }
    expr
}

#[cfg(test)]
mod tests;
