"""Wordings of the sentiment data sets."""

WORDINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "imdb_reviews": {
        "{answer}": (
            "Movie review: {text}\n\nDoes the reviewer come down on the positive or on the "
            "negative side?\n\n{options_}",
            "{text}\n\nJudging by these words, was the viewer's opinion of the film negative or "
            "positive?\n\n{options_}",
            "Classify a film review from IMDb by its sentiment, which is either positive or "
            "negative.\n\nReview:\n{text}\n\n{options_}\n\nSentiment:",
            "What does the writer think of the movie overall? Answer with one word, negative or "
            "positive.\n\n{text}\n\n{options_}",
            "I am sorting audience reviews into a positive and a negative pile. Where does this "
            "one go?\n\n{text}\n\n{options_}",
            "Is it a thumbs up or a thumbs down? Say positive for up and negative for down."
            '\n\n"{text}"\n\n{options_}',
            "Here is what one cinemagoer posted:\n\n{text}\n\nWould a critic's digest count it "
            "among the positive or the negative voices?\n\n{options_}",
        ),
        "{text}": (
            "Make up a film review, as on IMDb, whose verdict is {answer}.",
            "A viewer comes away from a film with a {answer} impression and posts a review online. "
            "What might the review say?",
            "Sentiment: {answer}\n\nMovie review with this sentiment:",
        ),
    },
    "sentiment140": {
        "{answer}": (
            "Tweet: {text}\n\nIf you had to add a smiley to it, would that be a positive or a "
            "negative one?\n\n{options_}",
            "How does the person who tweeted this feel? Answer with negative or positive.\n\n{text}"
            "\n\n{options_}",
            "{text}\n\nDoes that message sound happy or unhappy? Say positive for happy and "
            "negative for unhappy.\n\n{options_}",
            "Label one Twitter post as positive or negative.\n\nPost: {text}\n\n{options_}\n\n"
            "Label:",
            "We measure the mood on social media. Which mood, negative or positive, does the next "
            "line count towards?\n\n{text}\n\n{options_}",
            'Somebody just tweeted "{text}" and I cannot read the tone. Is it meant in a positive '
            "or a negative way?\n\n{options_}",
        ),
        "{text}": (
            "Tweet something about everyday life that has a {answer} ring to it.",
            "Compose a short post, as on Twitter, by somebody in a {answer} frame of mind.",
            "A person's day has left them with {answer} feelings and they tweet about it. What is "
            "the tweet?",
            "Sentiment: {answer}\nTweet:",
        ),
    },
    "yelp_polarity_reviews": {
        "{answer}": (
            "Customer review: {text}\n\nWas this customer's verdict positive or negative?\n\n"
            "{options_}",
            "Determine the polarity, negative or positive, of a Yelp review.\n\n{text}\n\n"
            "{options_}\n\nPolarity:",
            "{text}\n\nWould you call the review above positive or negative?\n\n{options_}",
            "A business owner wants to know if this visitor left satisfied. Answer positive if so "
            "and negative if not.\n\nVisitor: {text}\n\n{options_}",
            "Read about somebody's experience with a business.\n\n{text}\n\n"
            "Is the overall impression negative or positive?\n\n{options_}",
            "Did the place get praise or criticism here? Give the sentiment in one word, positive "
            "or negative.\n\nReview: {text}\n\n{options_}",
            "Guess the number of stars behind a review. If it is low, reply negative; if it is "
            'high, reply positive.\n\n"{text}"\n\n{options_}',
        ),
        "{text}": (
            "Draft a Yelp review by a customer who has {answer} things to say.",
            "Imagine that you visited a restaurant, a shop or another local business and your "
            "opinion of it is {answer}. What do you post about it?",
            "Rating: {answer}\nCustomer review of a local business:",
        ),
    },
    "sst2": {
        "{answer}": (
            "{sentence}\n\nIs a fan or a detractor of a movie speaking here? Reply positive for a "
            "fan and negative for a detractor.\n\n{options_}",
            "Film critic: {sentence}\n\n{options_}\n\nSentiment (negative or positive):",
            "Does the phrase speak for the film or against it? Answer positive for the former and "
            "negative for the latter.\n\nPhrase: {sentence}\n\n{options_}",
            'Which sentiment about a movie, positive or negative, does "{sentence}" express?\n\n'
            "{options_}",
            "Judge the tone of an excerpt from a review as negative or positive.\n\n"
            "Excerpt: {sentence}\n\n{options_}",
            "We want a film poster with flattering quotations only, so tell me if this quotation "
            'is positive or negative.\n\n"{sentence}"\n\n{options_}',
            "Someone summed up a movie in these words: {sentence}\nWas their view of it positive "
            "or negative?\n\n{options_}",
            "In one word, negative or positive, how does the writer of this snippet rate the film?"
            "\n\n{sentence}\n\n{options_}",
        ),
        "{sentence}": (
            "Write one sentence, or part of one, from a {answer} movie review.",
            "You have just seen a film and your opinion is {answer}. Put it in a single line.",
        ),
    },
}
