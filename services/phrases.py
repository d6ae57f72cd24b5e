"""What the agent says when a model fails: short Telugu sentences, spoken like any answer."""

NOT_HEARD = "క్షమించండి, మీ మాట సరిగ్గా వినబడలేదు. దయచేసి మళ్ళీ చెప్పండి."
NO_ANSWER = "క్షమించండి, ఇప్పుడు సమాధానం చెప్పలేకపోతున్నాను. దయచేసి మళ్ళీ అడగండి."
