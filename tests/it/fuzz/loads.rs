//! Draws loads: of all networks or of each, with arrivals by chance or in a file, and when plans are issued for them.

use super::scenario::Draft;

impl Draft {
    /// The load and its dispatch; or, for each network, what is said of its own.
    pub(super) fn loads(&mut self) -> Vec<String> {
        let mut own = vec![String::new(); self.models.len()];
        let is_split = self.models.len() > 1 && self.dice.is(50);
        if !is_split && self.dice.is(50) {
            let samples = self.dice.number(1..40);
            self.say(format!("load = {{ offline = {{ samples = {samples} }} }}"));
            return own;
        }
        if is_split && self.dice.is(70) {
            for own in &mut own {
                let (load, priority) = (self.load(false), self.dice.number(0..3));
                *own = format!("\nload = {{ {load} }}\npriority = {priority}");
            }
        } else {
            let load = self.load(is_split);
            self.say(format!("load = {{ {load} }}"));
        }
        let (batch_max, delay) = (self.dice.number(4..16), self.dice.number(0..3000));
        let mut rules = vec![format!("batch_max = {batch_max}"), format!("delay_max = \"{delay} us\"")];
        let kind = *self.dice.pick(&["per_query", "batch", "batch"]);
        rules.retain(|_| kind == "batch");
        if self.dice.is(50) {
            rules.push(format!("in_flight_max = {}", self.dice.number(1..4)));
        }
        if self.dice.is(75) {
            self.say(format!("dispatch.{kind} = {{ {} }}", rules.join(", ")));
        }
        own
    }

    /// A load of queries; one whose file says which network each is of if `names_models`.
    fn load(&mut self, names_models: bool) -> String {
        if names_models || self.dice.is(20) {
            return format!("server = {{ {} }}", self.recorded(names_models));
        }
        let (samples, queries) = (self.dice.number(1..5), self.dice.number(1..16));
        let clients = self.dice.number(1..queries + 1);
        match self.dice.number(0..5) {
            0 => format!("single_stream = {{ queries = {queries}, clients = {clients} }}"),
            1 => format!("multi_stream = {{ samples = {samples}, queries = {queries}, clients = {clients} }}"),
            _ => format!("server = {{ samples = {samples}, queries = {queries}, {} }}", self.arrivals(queries)),
        }
    }

    /// Arrivals in a file, of all networks if it names them.
    fn recorded(&mut self, names_models: bool) -> String {
        let (file, has_samples) = (format!("arrivals{}.csv", self.files.len()), self.dice.is(50));
        let columns = [("arrival_us", true), ("samples", has_samples), ("model", names_models)];
        let columns: Vec<&str> = columns.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| *name).collect();
        let mut rows = columns.join(",") + "\n";
        let mut time = 0;
        let count = self.models.len() as u32 + self.dice.number(0..12);
        for index in 0..count as usize {
            time += self.dice.number(0..4000);
            rows += &time.to_string();
            if has_samples {
                rows += &format!(",{}", self.dice.number(1..5));
            }
            if names_models {
                // Of each network one comes at least.
                let model = self.models.get(index).cloned().unwrap_or_else(|| self.dice.pick(&self.models).clone());
                rows += &format!(",{model}");
            }
            rows += "\n";
        }
        self.files.insert(file.clone(), rows.into_bytes());
        format!("arrivals = {{ recorded = {{ file = \"{file}\" }} }}{}", self.queue())
    }

    fn arrivals(&mut self, queries: u32) -> String {
        let dice = &mut self.dice;
        let [rate, burst] = [(); 2].map(|()| dice.real(5.0..20_000.0));
        let arrivals = match dice.number(0..3) {
            0 => format!("poisson = {{ rate = \"{rate:.3}/s\" }}"),
            1 => format!("deterministic = {{ rate = \"{rate:.3}/s\" }}"),
            _ => format!(
                "bursty = {{ rate_calm = \"{rate:.3}/s\", rate_burst = \"{burst:.3}/s\", calm_mean = \"1 s\", \
                 burst_mean = \"{} ms\" }}",
                dice.number(500..2000)
            ),
        };
        let together = dice.number(1..queries.min(4) + 1);
        format!("arrivals = {{ {arrivals} }}, together = {together}{}", self.queue())
    }

    /// Who may wait, and for how long.
    fn queue(&mut self) -> String {
        let mut rules = String::new();
        if self.dice.is(30) {
            rules += &format!(", queue_max = {}", self.dice.number(1..6));
        }
        if self.dice.is(40) {
            let (deadline, drop_late) = (self.dice.number(10..20_000), self.dice.is(50));
            rules += &format!(", deadline = \"{deadline} us\", drop_late = {drop_late}");
        }
        rules
    }
}
