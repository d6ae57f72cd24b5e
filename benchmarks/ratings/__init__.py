"""What raters of a listening test said, as scores with intervals."""
