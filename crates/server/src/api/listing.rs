//! Lists: pages, filters and order as `ListRequest` asks for them.

use spanwise_core::{Phase, Timestamp};
use spanwise_engine::{RunKey, RunQuery};
use spanwise_proto::Enumeration as _;
use spanwise_proto::flyteidl2::common::{Filter, ListRequest, filter, sort};
use spanwise_wire::{Invalid, details::SUBJECT, shown};

use crate::text::read_time;

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
        no_raw_filters(request)?;
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

/// Filters as a text of another backend's own: nobody here reads them, and without them the list would be another one.
fn no_raw_filters(request: &ListRequest) -> Result<(), Invalid> {
    match request.raw_filters.first() {
        Some(filter) => {
            Err(Invalid::field(format!("request.raw_filters: `{}` is not honoured, `filters` are", shown(filter))))
        }
        None => Ok(()),
    }
}

fn limit(request: &ListRequest) -> usize {
    size(request.limit)
}

/// How many entries a page has of which a client asks for so many.
pub(crate) fn size(limit: u32) -> usize {
    match limit as usize {
        0 => DEFAULT_PAGE,
        size => size.min(LARGEST_PAGE),
    }
}

fn token<T: std::str::FromStr>(request: &ListRequest) -> Result<Option<T>, Invalid> {
    position("request.token", &request.token)
}

/// Where a list goes on, by the token that its last page gave.
pub(crate) fn position<T: std::str::FromStr>(field: &str, token: &str) -> Result<Option<T>, Invalid> {
    if token.is_empty() {
        return Ok(None);
    }
    let invalid = || Invalid::field(format!("{field} `{}` is not one that this server gave", shown(token)));
    let token = Some(token).filter(|token| token.bytes().all(|byte| byte.is_ascii_digit()));
    token.and_then(|token| token.parse().ok()).map(Some).ok_or_else(invalid)
}

/// The runs that a request asks for, one more than its page has.
pub(crate) fn runs(request: &ListRequest, query: RunQuery) -> Result<RunQuery, Invalid> {
    no_raw_filters(request)?;
    let mut query = RunQuery { limit: limit(request) + 1, after: token(request)?.map(RunKey), ..query };
    for filter in &request.filters {
        add_filter(&mut query, filter)?;
    }
    query.oldest_first = order(request, "runs")?.unwrap_or(false);
    Ok(query)
}

/// Whether the oldest come first, if the request says so. One order is kept: that in which entries were created.
pub(crate) fn order(request: &ListRequest, what: &str) -> Result<Option<bool>, Invalid> {
    let sorts = request.sort_by.as_option().into_iter().chain(&request.sort_by_fields);
    let mut oldest_first = None;
    for sort in sorts.filter(|sort| !sort.key.is_empty()) {
        if sort.key != "created_at" {
            return Err(Invalid::field(format!(
                "request.sort_by: {what} cannot be sorted by `{}`, only by `created_at`",
                shown(&sort.key)
            )));
        }
        oldest_first = Some(sort.direction.as_known() == Some(sort::Direction::ASCENDING));
    }
    Ok(oldest_first)
}

fn add_filter(query: &mut RunQuery, filter: &Filter) -> Result<(), Invalid> {
    use filter::Function;
    let function = filter.function.as_known();
    let RunQuery { since, until, updated_since, updated_until, .. } = query;
    match (filter.field.as_str(), function) {
        ("phase", Some(Function::EQUAL | Function::VALUE_IN)) => {
            once(filter, !query.phases.is_empty())?;
            query.phases = phases(filter)?;
        }
        ("task_name", Some(Function::EQUAL)) => {
            once(filter, query.task.as_ref().is_some_and(|task| *task != filter.values.concat()))?;
            query.task = Some(filter.values.concat());
        }
        ("task_version", Some(Function::EQUAL)) => {
            once(filter, query.task_version.as_ref().is_some_and(|version| *version != filter.values.concat()))?;
            query.task_version = Some(filter.values.concat());
        }
        ("created_at", _) if Between { since, until }.narrowed_by(filter)? => {}
        ("updated_at", _) if (Between { since: updated_since, until: updated_until }).narrowed_by(filter)? => {}
        // Everybody who reaches this server is one and the same to it.
        ("created_by", Some(Function::EQUAL)) => {
            if filter.values.concat() != SUBJECT {
                query.limit = 0;
            }
        }
        (field, Some(Function::EQUAL)) if field.starts_with("labels.") => {
            query.labels.push((field["labels.".len()..].to_owned(), Some(filter.values.concat())));
        }
        (field, Some(Function::EXISTS)) if field.starts_with("labels.") => {
            query.labels.push((field["labels.".len()..].to_owned(), None));
        }
        _ => return Err(refused("runs", filter)),
    }
    Ok(())
}

/// What is said of a filter that cannot be honoured.
pub(crate) fn refused(what: &str, filter: &Filter) -> Invalid {
    let (field, function) = (shown(&filter.field), filter.function.as_known());
    let function = function.map_or_else(|| filter.function.to_i32().to_string(), |name| name.proto_name().to_owned());
    Invalid::field(format!("request.filters: {what} cannot be filtered by `{field}` with {function}"))
}

/// A second filter of a field whose first would be forgotten is refused.
pub(crate) fn once(filter: &Filter, is_taken: bool) -> Result<(), Invalid> {
    let text = || format!("request.filters: `{}` is filtered twice", shown(&filter.field));
    if is_taken { Err(Invalid::field(text())) } else { Ok(()) }
}

/// From this time on, and before that one.
pub(crate) struct Between<'a> {
    pub(crate) since: &'a mut Option<Timestamp>,
    pub(crate) until: &'a mut Option<Timestamp>,
}

impl Between<'_> {
    /// Narrows it to what the filter lets through as well; false if the filter compares in another way. Times are whole
    /// microseconds: after one of them is from the next one on.
    pub(crate) fn narrowed_by(self, filter: &Filter) -> Result<bool, Invalid> {
        use filter::Function;
        let next = |at: Timestamp| Timestamp(at.0.saturating_add(1));
        let (bound, at, later) = match filter.function.as_known() {
            Some(Function::GREATER_THAN_OR_EQUAL) => (self.since, time(filter)?, true),
            Some(Function::GREATER_THAN) => (self.since, next(time(filter)?), true),
            Some(Function::LESS_THAN) => (self.until, time(filter)?, false),
            Some(Function::LESS_THAN_OR_EQUAL) => (self.until, next(time(filter)?), false),
            _ => return Ok(false),
        };
        *bound = Some(match *bound {
            Some(other) if later => other.max(at),
            Some(other) => other.min(at),
            None => at,
        });
        Ok(true)
    }
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
    if texts.is_empty() {
        return Err(Invalid::field("request.filters: `phase` names no phase"));
    }
    texts.iter().map(phase).collect()
}

fn time(filter: &Filter) -> Result<Timestamp, Invalid> {
    let text = filter.values.concat();
    let invalid = || Invalid::field(format!("request.filters: `{}` is no time: ISO 8601 in UTC is", shown(&text)));
    read_time(&text).ok_or_else(invalid)
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
    fn times_are_compared_as_they_say_and_each_filter_narrows() {
        use filter::Function;
        let at = "2023-11-14T22:13:20.000007+00:00";
        let micros = 1_700_000_000_000_007;
        let of = |field: &str, function| {
            let query = filtered(field, function, &[at]).unwrap();
            let created = (query.since.map(|at| at.0), query.until.map(|at| at.0));
            let updated = (query.updated_since.map(|at| at.0), query.updated_until.map(|at| at.0));
            match field {
                "created_at" => (created, updated),
                _ => (updated, created),
            }
        };
        for field in ["created_at", "updated_at"] {
            for (function, since, until) in [
                (Function::GREATER_THAN_OR_EQUAL, Some(micros), None),
                (Function::GREATER_THAN, Some(micros + 1), None),
                (Function::LESS_THAN, None, Some(micros)),
                (Function::LESS_THAN_OR_EQUAL, None, Some(micros + 1)),
            ] {
                assert_eq!(of(field, function), ((since, until), (None, None)), "{field} {function:?}");
            }
            assert!(filtered(field, Function::EQUAL, &[at]).unwrap_err().to_string().contains(field));
        }
        let earlier = "2023-11-14T22:13:20Z";
        let filter = |function: Function, text: &str| Filter {
            field: "created_at".to_owned(),
            function: function.into(),
            values: vec![text.to_owned()],
            ..Filter::default()
        };
        let both = |function: Function| {
            let filters = vec![filter(function, at), filter(function, earlier)];
            runs(&ListRequest { filters, ..ListRequest::default() }, RunQuery::default()).unwrap()
        };
        assert_eq!(both(Function::GREATER_THAN_OR_EQUAL).since, Some(Timestamp(micros)), "the later one");
        assert_eq!(both(Function::LESS_THAN).until, Some(Timestamp(micros - 7)), "the earlier one");
    }

    #[test]
    fn each_filter_is_honoured_or_refused_by_name() {
        use filter::Function;
        assert_eq!(filtered("labels.a.b", Function::EQUAL, &["c"]).unwrap().labels, [("a.b".into(), Some("c".into()))]);
        assert_eq!(filtered("task_version", Function::EQUAL, &["v1"]).unwrap().task_version.as_deref(), Some("v1"));
        assert_eq!(filtered("created_by", Function::EQUAL, &["local"]).unwrap().limit, DEFAULT_PAGE + 1);
        assert_eq!(filtered("created_by", Function::EQUAL, &["ann"]).unwrap().limit, 0, "nobody else has created any");
        for (field, function) in [
            ("color", Function::EQUAL),
            ("created_by", Function::CONTAINS),
            ("task_name", Function::CONTAINS),
            ("phase", Function::NOT_EQUAL),
            ("labels.a", Function::CONTAINS),
        ] {
            let refused = filtered(field, function, &["x"]).unwrap_err().to_string();
            assert!(refused.contains(&format!("`{field}`")) && refused.contains(&format!("{function:?}")), "{refused}");
        }
        assert!(filtered("phase", Function::VALUE_IN, &[]).unwrap_err().to_string().contains("no phase"));
        let phase = |name: &str| Filter {
            field: "phase".into(),
            function: Function::EQUAL.into(),
            values: vec![name.to_owned()],
            ..Filter::default()
        };
        let twice = ListRequest { filters: vec![phase("5"), phase("6")], ..ListRequest::default() };
        assert!(runs(&twice, RunQuery::default()).unwrap_err().to_string().contains("`phase` is filtered twice"));
        let bad = ListRequest { token: "x".into(), ..ListRequest::default() };
        assert!(runs(&bad, RunQuery::default()).unwrap_err().to_string().contains("request.token"));
    }

    #[test]
    fn lists_are_sorted_by_creation_or_not_at_all() {
        use spanwise_proto::flyteidl2::common::Sort;
        let sorted = |key: &str, direction: sort::Direction| {
            let sort = Sort { key: key.to_owned(), direction: direction.into(), ..Sort::default() };
            runs(&ListRequest { sort_by: sort.into(), ..ListRequest::default() }, RunQuery::default())
        };
        assert!(sorted("created_at", sort::Direction::ASCENDING).unwrap().oldest_first);
        assert!(!sorted("created_at", sort::Direction::DESCENDING).unwrap().oldest_first);
        for key in ["updated_at", "name"] {
            assert!(sorted(key, sort::Direction::ASCENDING).unwrap_err().to_string().contains(&format!("`{key}`")));
        }
    }
}
