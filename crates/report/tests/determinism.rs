//! The same findings give the same bytes, in every format.

mod sample;

use coldcase_report::{HtmlContext, html, json, markdown, pictures, terminal};

#[test]
fn every_format_is_deterministic() {
    let context = HtmlContext {
        title: "freeze".to_owned(),
        inputs: Vec::new(),
        command: vec!["coldcase".to_owned()],
        version: "0.1.0".to_owned(),
    };
    for (first, second) in sample::all().into_iter().zip(sample::all()) {
        assert_eq!(json(&first), json(&second));
        assert_eq!(terminal(&first, true), terminal(&second, true));
        assert_eq!(markdown(&first), markdown(&second));
        assert_eq!(html(&first, &context).unwrap(), html(&second, &context).unwrap());
        assert!(pictures(&first, 1.0).unwrap() == pictures(&second, 1.0).unwrap());
    }
}
