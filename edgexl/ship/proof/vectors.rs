//! Answers each line of a table of vectors, and prints it as it was answered.
use {module}::PredictOptions;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: vectors vectors.tsv")?;
    let bundle = {module}::open()?;
    for line in std::fs::read_to_string(path)?.lines() {
        let cells: Vec<&str> = line.split('\t').collect();
        let k = (cells.len() - 2) / 2;
        let mut said = vec![cells[0].to_string()];
        match bundle.predict_with(cells[0], PredictOptions::new().k(k as u32)) {
            Ok(answer) => {
                said.push(u32::from(answer.none_fits).to_string());
                for label in &answer.labels {
                    said.push(label.id.clone());
                    said.push(format!("{:08x}", label.probability.to_bits()));
                }
            }
            Err(error) => said.push(format!("error: {error}")),
        }
        println!("{}", said.join("\t"));
    }
    Ok(())
}
