//! Samples from sources without a file extension, and sources whose bytes can be read only once.

use std::fs;

use ndarray::{Array2, array};
use phalanx::data::{Dataset, InputFormat, LoadOptions, Source};
use phalanx::internals::GatherBuffer;

fn inputs(data: &Dataset) -> Array2<f32> {
    let mut all = GatherBuffer::new(data.len(), data.features(), 0);
    data.gather(&(0..data.len() as u32).collect::<Vec<_>>(), &mut all);
    all.inputs().to_owned()
}

#[test]
fn a_given_format_takes_precedence_over_the_file_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv").display().to_string();
    fs::write(&path, "1 1:2 3:4\n").unwrap();
    let loaded = Source::in_format(&path, InputFormat::Libsvm).load(&LoadOptions::default()).unwrap();
    assert_eq!(inputs(&loaded.train), array![[2.0, 0.0, 4.0]]);
    for &format in InputFormat::ALL {
        assert_eq!(format.name().parse(), Ok(format));
    }
}

/// Each content is written once: reading it twice would wait forever.
#[cfg(unix)]
#[test]
fn a_pipe_named_as_a_file_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    for (content, fault) in
        [("1,2,0\n\n3,4,1\n", None), ("1,2,0\n\n3,four,1\n", Some("\"four\" in line 3, column 1"))]
    {
        let writer = std::thread::spawn({
            let path = path.clone();
            move || fs::write(path, content).unwrap()
        });
        let loaded = path.to_str().unwrap().parse::<Source>().unwrap().load(&LoadOptions::default());
        writer.join().unwrap();
        match fault {
            None => assert_eq!(inputs(&loaded.unwrap().train), array![[1.0, 2.0], [3.0, 4.0]]),
            Some(text) => assert!(loaded.unwrap_err().to_string().contains(text)),
        }
    }
}
