//! Who is who: pairs of rows and columns of least total cost.
//!
//! Invariant: no row and no column is in two pairs, and no pair costs more than the limit.

/// Pairs (row, column) with the least sum of costs, by the Hungarian method (Kuhn 1955, in the form with potentials that takes
/// O(rows² · columns)). `cost` gives `f32::INFINITY` for what cannot be; pairs above `limit` are left out.
pub(crate) fn assign(rows: usize, columns: usize, limit: f32, cost: &dyn Fn(usize, usize) -> f32) -> Vec<(usize, usize)> {
    if rows > columns {
        return assign(columns, rows, limit, &|row, column| cost(column, row)).into_iter().map(|(row, column)| (column, row)).collect();
    }
    // What is not allowed costs more than all that is together, so that as many as can be are paired.
    let dear = f64::from(limit) * (rows + 1) as f64 * 2.0 + 1.0;
    let priced = |row: usize, column: usize| {
        let cost = cost(row, column);
        if cost <= limit { f64::from(cost) } else { dear }
    };
    // Index 0 is nobody: rows and columns count from 1.
    let (mut row_price, mut column_price) = (vec![0.0; rows + 1], vec![0.0; columns + 1]);
    let (mut row_of, mut came_from) = (vec![0; columns + 1], vec![0; columns + 1]);
    for row in 1..=rows {
        row_of[0] = row;
        let (mut least, mut done) = (vec![f64::INFINITY; columns + 1], vec![false; columns + 1]);
        let mut at = 0;
        while row_of[at] != 0 {
            done[at] = true;
            let (mut step, mut next) = (f64::INFINITY, 0);
            for column in (1..=columns).filter(|&column| !done[column]) {
                let reduced = priced(row_of[at] - 1, column - 1) - row_price[row_of[at]] - column_price[column];
                if reduced < least[column] {
                    (least[column], came_from[column]) = (reduced, at);
                }
                if least[column] < step {
                    (step, next) = (least[column], column);
                }
            }
            for column in 0..=columns {
                if done[column] {
                    row_price[row_of[column]] += step;
                    column_price[column] -= step;
                } else {
                    least[column] -= step;
                }
            }
            at = next;
        }
        while at != 0 {
            row_of[at] = row_of[came_from[at]];
            at = came_from[at];
        }
    }
    let pairs = (1..=columns).filter(|&column| row_of[column] != 0).map(|column| (row_of[column] - 1, column - 1));
    let mut pairs: Vec<_> = pairs.filter(|&(row, column)| cost(row, column) <= limit).collect();
    pairs.sort_unstable();
    pairs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The best by trying everything: most pairs first, then least cost.
    fn best(costs: &[Vec<f32>], row: usize, taken: u32) -> (i32, f32) {
        let Some(columns) = costs.get(row) else { return (0, 0.0) };
        let mut found = best(costs, row + 1, taken);
        for (column, &cost) in columns.iter().enumerate().filter(|(column, cost)| taken & (1 << column) == 0 && **cost <= 1.0) {
            let rest = best(costs, row + 1, taken | 1 << column);
            let this = (rest.0 - 1, rest.1 + cost);
            if this.0 < found.0 || (this.0 == found.0 && this.1 < found.1) {
                found = this;
            }
        }
        found
    }

    #[test]
    fn the_sum_counts_not_each_greedy_choice() {
        let costs = [[0.1, 0.2], [0.15, 0.9]];
        assert_eq!(assign(2, 2, 1.0, &|r, c| costs[r][c]), vec![(0, 1), (1, 0)]);
        assert_eq!(assign(2, 2, 0.12, &|r, c| costs[r][c]), vec![(0, 0)], "what is above the limit is no pair");
        assert!(assign(0, 3, 1.0, &|_, _| 0.0).is_empty() && assign(3, 0, 1.0, &|_, _| 0.0).is_empty());
    }

    proptest! {
        #[test]
        fn as_good_as_trying_everything(rows in 0usize..5, columns in 0usize..5, values in prop::collection::vec(0.0f32..1.5, 25)) {
            let costs: Vec<Vec<f32>> = (0..rows).map(|r| (0..columns).map(|c| values[r * 5 + c]).collect()).collect();
            let pairs = assign(rows, columns, 1.0, &|r, c| costs[r][c]);
            let found = (-(pairs.len() as i32), pairs.iter().map(|&(r, c)| costs[r][c]).sum::<f32>());
            let expected = best(&costs, 0, 0);
            prop_assert!(found.0 == expected.0 && (found.1 - expected.1).abs() < 1e-4, "{found:?} {expected:?} {costs:?}");
        }
    }
}
