//! Single queues, first come first served unless said otherwise: mean time from arrival to departure.

/// M/M/1: Poisson arrivals, exponential service (Kleinrock, Queueing Systems I, 1975, section 3.2).
pub fn mm1(arrival_rate: f64, service_mean: f64) -> f64 {
    mg1(arrival_rate, service_mean, 1.0)
}

/// M/M/1: the time in the system that `share` of queries do not exceed; it is exponential (Kleinrock, 1975, section
/// 5.6).
pub fn mm1_quantile(arrival_rate: f64, service_mean: f64, share: f64) -> f64 {
    -mm1(arrival_rate, service_mean) * (1.0 - share).ln()
}

/// M/D/1: Poisson arrivals, constant service.
pub fn md1(arrival_rate: f64, service: f64) -> f64 {
    mg1(arrival_rate, service, 0.0)
}

/// M/G/1: Poisson arrivals, any service with this coefficient of variation (Pollaczek, 1930; Khinchine, 1932; Kleinrock,
/// 1975, section 5.6).
pub fn mg1(arrival_rate: f64, service_mean: f64, service_cv: f64) -> f64 {
    let load = arrival_rate * service_mean;
    if load >= 1.0 {
        return f64::INFINITY;
    }
    service_mean + load * service_mean * (1.0 + service_cv * service_cv) / (2.0 * (1.0 - load))
}

/// M/G/1 with processor sharing: all queries in the system are served at once, at equal parts of the speed. Only the
/// mean of the service matters (Kleinrock, Time-shared systems: a theoretical treatment, 1967).
pub fn mg1_ps(arrival_rate: f64, service_mean: f64) -> f64 {
    let load = arrival_rate * service_mean;
    if load >= 1.0 { f64::INFINITY } else { service_mean / (1.0 - load) }
}

/// M/M/c: one queue before several servers (Erlang, 1917: the C formula, by the recursion of the B formula).
pub fn mmc(arrival_rate: f64, service_mean: f64, servers: u32) -> f64 {
    let offered = arrival_rate * service_mean;
    let load = offered / f64::from(servers);
    if load >= 1.0 {
        return f64::INFINITY;
    }
    let blocked = (1..=servers).fold(1.0, |blocked, busy| offered * blocked / (f64::from(busy) + offered * blocked));
    let waits = blocked / (1.0 - load * (1.0 - blocked));
    service_mean + waits * service_mean / (f64::from(servers) * (1.0 - load))
}

/// What becomes of queries where some are turned away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lossy {
    /// Share of queries that find no place.
    pub lost: f64,
    /// Mean time in the system of the others.
    pub sojourn_mean: f64,
}

/// M/M/1/K: as M/M/1, but queries that find `places` others, waiting or in service, are lost (Kleinrock, 1975, section
/// 3.6).
pub fn mm1k(arrival_rate: f64, service_mean: f64, places: u32) -> Lossy {
    let load = arrival_rate * service_mean;
    // Weights of the states, scaled so that none overflows.
    let weight = |count: u32| if load <= 1.0 { load.powf(count.into()) } else { load.powf(-f64::from(places - count)) };
    let (mut total, mut number) = (0.0, 0.0);
    for count in 0..=places {
        total += weight(count);
        number += f64::from(count) * weight(count);
    }
    let lost = weight(places) / total;
    Lossy { lost, sojourn_mean: number / total / (arrival_rate * (1.0 - lost)) }
}

/// M^X/D/1: groups of `size` queries arrive at once, each query is served for the same time; the mean over all queries
/// of a group. A group waits as in M/D/1, and its queries leave one after the other (Chaudhry and Templeton, A First
/// Course in Bulk Queues, 1983, chapter 3).
pub fn batch_md1(group_rate: f64, service: f64, size: u32) -> f64 {
    let group = f64::from(size) * service;
    md1(group_rate, group) - group + f64::from(size + 1) / 2.0 * service
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{found} instead of {expected}");
    }

    #[test]
    fn one_server_at_load_one_half_doubles_exponential_service() {
        close(mm1(0.5, 1.0), 2.0);
        close(md1(0.5, 1.0), 1.5);
        close(mg1_ps(0.5, 1.0), 2.0);
        close(mm1_quantile(0.5, 1.0, 0.99), 2.0 * 100f64.ln());
    }

    #[test]
    fn special_cases_agree_with_general_ones() {
        for load in [0.1, 0.5, 0.9, 0.99] {
            close(mmc(load, 1.0, 1), mm1(load, 1.0));
            close(batch_md1(load, 1.0, 1), md1(load, 1.0));
            close(mm1k(load, 1.0, 20_000).sojourn_mean, mm1(load, 1.0));
        }
    }

    #[test]
    fn published_values_of_several_servers_are_met() {
        // Two servers: T = s / (1 - load^2).
        close(mmc(1.6, 1.0, 2), 1.0 / (1.0 - 0.64));
        // Erlang C of 10 erlangs on 12 servers is 0.4494 (tables of Erlang C).
        let waits = (mmc(10.0, 1.0, 12) - 1.0) * 2.0;
        assert!((waits - 0.4494).abs() < 5e-4, "{waits}");
    }

    #[test]
    fn queries_are_lost_evenly_over_the_states_at_load_1_and_nearly_all_far_above() {
        let even = mm1k(1.0, 1.0, 4);
        close(even.lost, 0.2);
        close(even.sojourn_mean, 2.0 / 0.8);
        let over = mm1k(1000.0, 1.0, 400);
        close(over.lost, 0.999);
        assert!((over.sojourn_mean - 400.0).abs() < 0.01);
        close(mm1k(0.5, 1.0, 1).lost, 1.0 / 3.0);
    }

    #[test]
    fn queries_of_a_group_leave_one_after_the_other() {
        // With hardly any other group, the mean of 1, 2, 3 and 4.
        assert!((batch_md1(1e-9, 1.0, 4) - 2.5).abs() < 1e-6);
        close(batch_md1(0.2, 1.0, 4), 0.8 * 4.0 / 0.4 + 2.5);
    }

    #[test]
    fn more_than_can_be_served_takes_for_ever() {
        assert_eq!([mm1(1.0, 1.0), mg1_ps(2.0, 1.0), mmc(3.0, 1.0, 3), batch_md1(0.5, 1.0, 2)], [f64::INFINITY; 4]);
    }
}
