//! Lists: pages, filters and order as `ListRequest` asks for them.

use spanwise_core::{Phase, Timestamp};
use spanwise_engine::{RunKey, RunQuery};
use spanwise_proto::flyteidl2::common::{Filter, ListRequest, filter, sort};

use crate::wire::{Invalid, shown};

/// How many entries a page has if the client does not say, and at most.
const DEFAULT_PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;

/// A page by its place in the list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

impl Page {
    pub(crate) fn of(request: &ListRequest) -> Result<Page, Invalid> {
        Ok(Page { offset: token(request)?.unwrap_or(0), limit: limit(request) })
    }

    /// Cuts a list that was asked for with one entry more than the page has, and names the next page if there is one.
    pub(crate) fn next<T>(&self, rows: &mut Vec<T>) -> String {
        if rows.len() <= self.limit {
            return String::new();
        }
        rows.truncate(self.limit);
        (self.offset + self.limit).to_string()
    }
}

fn limit(request: &ListRequest) -> usize {
    match request.limit as usize {
        0 => DEFAULT_PAGE,
        asked => asked.min(LARGEST_PAGE),
    }
}

fn token<T: std::str::FromStr>(request: &ListRequest) -> Result<Option<T>, Invalid> {
    if request.token.is_empty() {
        return Ok(None);
    }
    let invalid =
        || Invalid::field(format!("request.token `{}` is not one that this server gave", shown(&request.token)));
    let token = Some(request.token.as_str()).filter(|token| token.bytes().all(|byte| byte.is_ascii_digit()));
    token.and_then(|token| token.parse().ok()).map(Some).ok_or_else(invalid)
}

/// The value that a field of one of these names must have.
pub(crate) fn equal(request: &ListRequest, names: &[&str]) -> Option<String> {
    let wanted = |filter: &&Filter| {
        names.contains(&filter.field.as_str()) && filter.function.as_known() == Some(filter::Function::EQUAL)
    };
    request.filters.iter().find(wanted).map(|filter| filter.values.concat())
}

/// The runs that a request asks for, one more than its page has.
pub(crate) fn runs(request: &ListRequest, query: RunQuery) -> Result<RunQuery, Invalid> {
    let mut query = RunQuery { limit: limit(request) + 1, after: token(request)?.map(RunKey), ..query };
    for filter in &request.filters {
        add_filter(&mut query, filter)?;
    }
    let sorts = request.sort_by.as_option().into_iter().chain(&request.sort_by_fields);
    for sort in sorts.filter(|sort| !sort.key.is_empty()) {
        if !matches!(sort.key.as_str(), "created_at" | "updated_at") {
            return Err(Invalid::field(format!(
                "request.sort_by: runs cannot be sorted by `{}`, only by `created_at`",
                shown(&sort.key)
            )));
        }
        query.oldest_first = sort.direction.as_known() == Some(sort::Direction::ASCENDING);
    }
    Ok(query)
}

fn add_filter(query: &mut RunQuery, filter: &Filter) -> Result<(), Invalid> {
    use filter::Function;
    let function = filter.function.as_known();
    match (filter.field.as_str(), function) {
        ("phase", Some(Function::EQUAL | Function::VALUE_IN)) => query.phases = phases(filter)?,
        ("task_name", Some(Function::EQUAL)) => query.task = Some(filter.values.concat()),
        ("created_at" | "updated_at", Some(Function::GREATER_THAN | Function::GREATER_THAN_OR_EQUAL)) => {
            query.since = Some(time(filter)?);
        }
        ("created_at" | "updated_at", Some(Function::LESS_THAN | Function::LESS_THAN_OR_EQUAL)) => {
            query.until = Some(time(filter)?);
        }
        ("created_by", _) => {}
        (field, Some(Function::EQUAL)) if field.starts_with("labels.") => {
            query.labels.push((field["labels.".len()..].to_owned(), Some(filter.values.concat())));
        }
        (field, Some(Function::EXISTS)) if field.starts_with("labels.") => {
            query.labels.push((field["labels.".len()..].to_owned(), None));
        }
        (field, _) => {
            return Err(Invalid::field(format!(
                "request.filters: runs cannot be filtered by `{}` with {function:?}",
                shown(field)
            )));
        }
    }
    Ok(())
}

/// The phases of a filter. A single one comes as the characters of its number (`RECOVERED` as `["1", "0"]`), several as names or
/// numbers of their own.
pub(crate) fn phases(filter: &Filter) -> Result<Vec<Phase>, Invalid> {
    let texts = match filter.function.as_known() {
        Some(filter::Function::EQUAL) => vec![filter.values.concat()],
        _ => filter.values.clone(),
    };
    let phase = |text: &String| {
        let by_name = || Phase::ALL.into_iter().find(|phase| phase.as_str().eq_ignore_ascii_case(text));
        let phase = text.parse().ok().and_then(Phase::from_number).or_else(by_name);
        phase.ok_or_else(|| Invalid::field(format!("request.filters: `{}` is no phase", shown(text))))
    };
    texts.iter().map(phase).collect()
}

fn time(filter: &Filter) -> Result<Timestamp, Invalid> {
    let text = filter.values.concat();
    let invalid = |_| Invalid::field(format!("request.filters: `{}` is no time: ISO 8601 in UTC is", shown(&text)));
    // Python writes an offset where the parser wants a `Z`.
    let utc = text.replace("+00:00", "Z");
    let time = humantime::parse_rfc3339_weak(&utc).map_err(invalid)?;
    let micros = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_micros();
    Ok(Timestamp(i64::try_from(micros).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(field: &str, function: filter::Function, values: &[&str]) -> Result<RunQuery, Invalid> {
        let filter = Filter {
            field: field.to_owned(),
            function: function.into(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            ..Filter::default()
        };
        runs(&ListRequest { filters: vec![filter], ..ListRequest::default() }, RunQuery::default())
    }

    #[test]
    fn a_single_phase_comes_in_pieces_and_several_do_not() {
        use filter::Function;
        let phases = |function, values: &[&str]| filtered("phase", function, values).unwrap().phases;
        assert_eq!(phases(Function::EQUAL, &["1", "0"]), [Phase::Recovered]);
        assert_eq!(phases(Function::VALUE_IN, &["5", "6"]), [Phase::Succeeded, Phase::Failed]);
        assert!(filtered("phase", Function::EQUAL, &["77"]).is_err());
    }

    #[test]
    fn times_and_labels_are_read_and_what_is_unknown_is_refused_by_name() {
        use filter::Function;
        let since =
            filtered("created_at", Function::GREATER_THAN_OR_EQUAL, &["2023-11-14T22:13:20+00:00"]).unwrap().since;
        assert_eq!(since, Some(Timestamp(1_700_000_000_000_000)));
        assert_eq!(filtered("labels.a.b", Function::EQUAL, &["c"]).unwrap().labels, [("a.b".into(), Some("c".into()))]);
        assert!(filtered("color", Function::EQUAL, &["x"]).unwrap_err().to_string().contains("`color`"));
        let bad = ListRequest { token: "x".into(), ..ListRequest::default() };
        assert!(runs(&bad, RunQuery::default()).unwrap_err().to_string().contains("request.token"));
    }
}
