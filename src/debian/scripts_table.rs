[
    ("base-files", &[Native("skeleton of base-files")]),
    ("base-passwd", &[Native("accounts")]),
]
