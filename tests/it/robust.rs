//! Plans under costs that are not known for sure.

use coinfer::evaluate::evaluate;
use coinfer::scenario::Scenario;

#[test]
fn a_robust_split_does_not_count_on_a_time_that_few_repeats_agree_on() {
    let folder = tempfile::tempdir().unwrap();
    let times = [
        ("a", [[10.0; 3], [20.0; 3], [10.5, 21.0, 42.0], [40.0; 3]]),
        ("b", [[21.0; 3], [24.0; 3], [36.0; 3], [48.0; 3]]),
    ];
    let mut trace = "# coinfer trace 1\n# source: made up\n# revision: 1\n# hardware: h\n# software: w\n\
                     # date: 2026-11-30\n# kind: measured\ndevice,model,layer,batch,rows,statistic,repeat,time_ms\n"
        .to_owned();
    for (device, of_batches) in times {
        for (batch, repeats) in (1..).zip(of_batches) {
            for (repeat, time) in (1..).zip(repeats) {
                trace += &format!("{device},mobilenet,whole,{batch},all,raw,{repeat},{time}\n");
            }
        }
    }
    std::fs::write(folder.path().join("t.csv"), trace).unwrap();
    let devices = ["a", "b"]
        .map(|name| format!("[[devices]]\nname = \"{name}\"\nkind = \"cpu\"\nmemory = \"4 GB\"\ntrace = \"t.csv\"\n"));
    let strategies = ["exact = {}", "exact = { robust = \"mean\" }", "exact = { robust = \"p95\" }"];
    let strategies: String = (0..)
        .zip(strategies)
        .map(|(index, text): (u32, _)| format!("[[strategies]]\nname = \"{index}\"\n{text}\n"))
        .collect();
    let path = folder.path().join("scenario.toml");
    let text = format!(
        "[load]\noffline = {{ samples = 4 }}\n[costs]\nlookup = \"exact\"\n{}\
         [[models]]\nname = \"m\"\nzoo = \"mobilenet\"\n{strategies}",
        devices.concat()
    );
    std::fs::write(&path, text).unwrap();
    let case = Scenario::read(&path, &[]).unwrap().case().unwrap();
    let outcomes: Vec<_> = evaluate(&case).into_iter().map(|result| result.unwrap().outcome).collect();
    let of_first = |index: usize| outcomes[index].split[0].1;
    assert_eq!([0, 1, 2].map(of_first), [3, 2, 2]);
    // By the profile it is the fastest, and by what repeats say of it not.
    assert!(outcomes[0].makespan < outcomes[1].makespan);
    let regret = |index: usize| outcomes[index].regret.unwrap();
    assert!(regret(0) > regret(1) && regret(1) == regret(2), "{} and {}", regret(0), regret(1));
}
