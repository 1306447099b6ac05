//! Which fields of a rule go together: what its kind, its window and its delays allow each other.

use huong_types::Span;

use crate::rule_file::{Kind as RuleKind, RawRule, RawWindow};

use super::task::Task;

impl Task<'_, '_> {
    /// Fields that do not go together.
    pub(super) fn check_shape(&mut self, raw: &RawRule) {
        let condition = raw.kind == RuleKind::Condition && raw.cluster.is_none();
        let windowed = !matches!(raw.window, RawWindow::None(_));
        let delayed = raw.hold > Span::ZERO || raw.clear_for > Span::ZERO || raw.keep_firing_for > Span::ZERO || raw.of.is_some();
        let silence = raw.kind == RuleKind::Silence;
        let class = raw.kind == RuleKind::ClassSilence;
        let by_key = ["key", "station", "camera"].contains(&raw.by.as_str());
        let sensors = "nothing: rules about sensors follow the limits of the stream";
        if raw.source.trim().is_empty() {
            self.problem("source", "nothing", "where the thresholds come from");
        }
        let mut refuse = |given: bool, field: &str, expected: &str| {
            if given {
                self.problem(field, "a value", expected);
            }
        };
        refuse(
            raw.each && (raw.clear.is_some() || raw.over.is_some() || delayed),
            "each",
            "no `clear`, `clear_for`, `for`, `keep_firing_for`, `of` or `over`: such alerts have no state",
        );
        refuse(raw.early && !windowed, "early", "a window: rules on readings are as early as can be");
        refuse(raw.early && raw.of.is_some(), "of", "no `early`: a window that is open is judged many times");
        refuse(
            condition && !windowed && !raw.select.is_empty(),
            "select",
            "none without a window: the fields of the reading are the columns",
        );
        refuse(raw.baseline.is_some() && !windowed, "baseline", "a window whose figure is compared");
        for (field, given) in [("window", windowed), ("select", !raw.select.is_empty()), ("baseline", raw.baseline.is_some())] {
            refuse(!condition && given, field, sensors);
        }
        refuse(!condition && raw.then.is_some(), "then", "a condition on readings or windows");
        refuse(!condition && raw.each, "each", "an alert that clears");
        refuse(!condition && !silence && raw.when.is_some(), "when", "nothing: it is raised by what its kind says");
        refuse((class || raw.cluster.is_some()) && raw.schedule.is_some(), "schedule", "none: it is about what stands at every hour");
        refuse(!condition && raw.clear.is_some(), "clear", "nothing: it is cleared by what its kind says");
        let delays = [
            ("for", raw.hold > Span::ZERO),
            ("clear_for", raw.clear_for > Span::ZERO),
            ("keep_firing_for", raw.keep_firing_for > Span::ZERO && !silence),
            ("of", raw.of.is_some()),
        ];
        for (field, given) in delays {
            refuse((silence || class || raw.cluster.is_some()) && given, field, "no delays: it is told and over when it happens");
        }
        refuse(!condition && raw.cluster.is_none() && !by_key, "by", "`key`: it is about single sensors");
        refuse(!silence && raw.after.is_some(), "after", "kind = \"silence\"");
        refuse(!class && (raw.share.is_some() || raw.least.is_some()), "share", "kind = \"class-silence\"");
        refuse(silence && raw.filter.is_some(), "where", "`when` over the last reading");
        if condition && raw.when.is_none() {
            self.problem("when", "nothing", "a condition");
        }
        if let Some(then) = &raw.then {
            if !then.absent && !raw.each {
                self.problem("then", "a pattern that raises when both have happened", "each = true: it holds at one moment only");
            }
            if then.absent && raw.hold > Span::ZERO {
                self.problem("for", "a delay", "none: `within` is the delay");
            }
        }
        if raw.group_after == 0 && raw.group.is_some() {
            self.problem("group_after", "`0`", "at least 1 in a group: 0 means that alerts are never folded");
        }
        if raw.flap.is_some_and(|flap| flap.raises < 2 || flap.within <= Span::ZERO) {
            self.problem("flap", "fewer than two raises, or no time", "at least 2 raises within some time");
        }
    }
}
