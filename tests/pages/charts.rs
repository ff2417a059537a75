//! Tests the arithmetic of the overview's charts.

use crate::prelude::*;
use pullyard_domain::project::budget::Day;
use pullyard_function_pages::charts::{
    Bar, DAYS, Ending, HEIGHT, WIDTH, bars, by_day, first_day, label_of_code, median, most_frequent, percent,
    stacked_bars,
};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn jobs_are_counted_on_the_day_of_their_end() {
    let now = Timestamp::parse("2026-11-20T00:30:00Z").unwrap();
    let end = |at: &str, status, took| Ending { at: Timestamp::parse(at).unwrap(), status, took: secs(took) };
    let endings = [
        end("2026-11-20T00:00:00Z", JobStatus::Completed, 60),
        end("2026-11-20T00:10:00Z", JobStatus::Completed, 120),
        end("2026-11-20T00:20:00Z", JobStatus::Failed, 900),
        end("2026-11-19T23:59:59Z", JobStatus::Cancelled, 5),
        end("2026-10-22T00:00:00Z", JobStatus::Failed, 5),
        end("2026-10-21T23:59:59Z", JobStatus::Failed, 5),
    ];
    let days = by_day(&endings, Day::containing(now));
    assert_eq!(days.len(), DAYS);
    let today = &days[DAYS - 1];
    assert_eq!((today.completed, today.failed, today.cancelled), (2, 1, 0));
    assert_eq!((today.median, today.longest), (Some(secs(90)), Some(secs(120))));
    let yesterday = &days[DAYS - 2];
    assert_eq!((yesterday.day.to_string().as_str(), yesterday.cancelled, yesterday.median), ("2026-11-19", 1, None));
    assert_eq!(days[0].day, first_day(now));
    assert_eq!((days[0].day.to_string().as_str(), days[0].failed), ("2026-10-22", 1));
    assert_eq!(days.iter().map(|day| day.failed).sum::<u64>(), 2, "an older job is counted");
}

#[test]
fn highest_stack_fills_the_chart_and_zeros_have_no_bar() {
    let (low, high) = stacked_bars(&[4, 0, 1], &[4, 2, 0]);
    assert_eq!((low.len(), high.len()), (2, 2));
    assert_eq!((low[0].height, high[0].height), (40, 40));
    assert_eq!((low[0].y, high[0].y), (HEIGHT - 40, HEIGHT - 82));
    assert_eq!((high[1].x, high[1].height, high[1].y), (29, 20, HEIGHT - 20), "a lone upper bar starts at the bottom");
    assert_eq!(low[1].height, 10);
    assert_eq!(stacked_bars(&[], &[]), (vec![], vec![]));
    assert_eq!(bars(&[0, 0]), vec![]);
}

#[test]
fn bars_stay_inside_the_chart() {
    for (lower, upper) in [(1_000_000, 1), (1, 1_000_000), (1, 0), (86_400_000 * 30, 0)] {
        let (lower, upper) = (vec![lower; DAYS], vec![upper; DAYS]);
        let (low, high) = stacked_bars(&lower, &upper);
        for Bar { x, y, width, height } in low.into_iter().chain(high) {
            assert!(height >= 2 && y + height <= HEIGHT && x + width <= WIDTH, "{x} {y} {width} {height}");
        }
    }
}

#[test]
fn median_of_an_even_number_is_the_mean_of_the_middle() {
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[secs(7)]), Some(secs(7)));
    assert_eq!(median(&[secs(1), secs(3)]), Some(secs(2)));
    assert_eq!(median(&[secs(1), secs(2), secs(90)]), Some(secs(2)));
}

#[test]
fn shares_and_frequencies_are_bounded() {
    assert_eq!([percent(1, 3), percent(0, 0), percent(5, 4), percent(4, 4)], [33, 0, 100, 100]);
    let names = ["b", "a", "b", "c", "a", "b"];
    assert_eq!(most_frequent(names.into_iter(), 2), [("b", 3), ("a", 2)]);
    assert_eq!(label_of_code("checks_failed"), "Checks failed");
    assert_eq!(label_of_code(""), "");
}
