"""Wordings of the summarization cluster.

Where documents are long the instruction mostly comes first, so that it is still there when an input
is cut to the model's length.
"""

WORDINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "aeslc": {
        "{subject}": (
            "Title this email the way its sender would in the subject line.\n\n{body}",
            "{body}\n\nWhat would be a fitting subject line for the email above?",
            "Email: {body}\n\nSubject:",
            "I have written an email but left its subject field empty. Fill it in with a few "
            "words.\n\n{body}",
            "The message here arrived without a subject. In a short phrase, what is it about?"
            "\n\n{body}",
            "Someone at an energy company sent this message to a colleague:\n\n{body}\n\nGive the "
            "subject line that the sender most likely typed.",
            "Read the message and reply with nothing but its subject line.\n\nMessage: {body}",
            "An inbox shows only the subject of each email. Which subject should it show for this "
            "one?\n\n{body}\n\nSubject line:",
        ),
        "{body}": (
            'Compose an email whose subject line is "{subject}".',
            "Subject: {subject}\n\nWrite the body of the email that goes with this subject.",
        ),
    },
    "cnn_dailymail": {
        "{highlights}": (
            "Summarise this news article in three or four short sentences.\n\n{text}",
            "What are the main points of the news story here? State each in one short sentence."
            "\n\n{text}",
            "{text}\n\nWrite the highlights that an editor would print beside this article.",
            "News article: {text}\n\nHighlights:",
            "A reader has no time for the whole report. Give them its essentials in a few brief "
            "sentences.\n\nReport: {text}",
            "Boil the text down to its most important facts, as short statements one after "
            "another.\n\n{text}\n\nKey facts:",
            "You edit a news site and need the short highlights shown at the top of a story. "
            "Write them for this one.\n\n{text}",
        ),
        "{text}": (
            "Write a full news article that has these highlights.\n\n{highlights}",
            "Highlights: {highlights}\n\nThe article they were taken from:",
            "All that is left of a news report is its summary:\n\n{highlights}\n\nReconstruct "
            "what the whole report may have said.",
        ),
    },
    "gigaword": {
        "{summary}": (
            "Write a short headline for this sentence from a news report.\n\n{text}",
            "{text}\n\nShorten this to a newspaper headline, all in lower case.",
            "Sentence: {text}\n\nHeadline:",
            "How would a newspaper title the story that opens like this?\n\n{text}",
            "A news agency sent out this lead sentence: {text}\n\nCompress it into a title of "
            "about eight words.",
            "Condense the sentence into as few words as a headline needs: {text}",
            "Here is the opening of an article.\n\n{text}\n\nGive its gist in one short line "
            "without a full stop.",
            "In a handful of words, what is this report about? {text}",
        ),
        "{text}": (
            "Write the first sentence of the news article with this headline: {summary}",
            "Headline: {summary}\n\nOpening sentence of the story:",
        ),
    },
    "multi_news": {
        "{summary}": (
            "Write one summary that covers all of these news articles on the same event.\n\n{text}",
            "Several news articles: {text}\n\nTheir joint summary:",
            "The sources here report on the same story; five vertical bars separate their texts. "
            "Merge what they say into a single summary of a few paragraphs.\n\n{text}",
            "{text}\n\nThose were the reports about one news event. Sum them up in a paragraph or "
            "two.",
            "What is the story that these reports tell together? Answer with a coherent summary."
            "\n\n{text}",
            "I collected coverage of one event from different news sites. Please digest it for me "
            "in about 250 words, saying only once what the sites have in common.\n\n{text}",
            "As the editor of a news digest, combine the coverage given here into one short piece."
            "\n\nCoverage: {text}\n\nDigest:",
            "Give me the essentials of this press coverage: who, what, where and why.\n\n{text}",
        ),
        "{text}": (
            "Here is the summary of one or more news articles about an event.\n\n{summary}\n\n"
            "Write the articles.",
            "Report a news event the way different newspapers would, so that the reports could be "
            "summed up like this: {summary}",
        ),
    },
    "newsroom": {
        "{summary}": (
            'Summarise the article titled "{title}" in a sentence or two.\n\n{text}',
            "Cover the substance of this article in no more than two sentences.\n\n{text}",
            "Published under: {title}\n\nThe piece itself: {text}\n\nShort abstract:",
            'What would the teaser under the headline "{title}" say? Base it on the text of the '
            "article.\n\n{text}",
            "{text}\n\nIn short, what does the article above report?",
            "A newspaper wants a short description of this piece to show in search results. "
            "Provide one.\n\nHeadline: {title}\n\nBody: {text}",
            "Tell me quickly what I would learn from reading this.\n\n{text}\n\nA summary in one "
            "or two sentences:",
        ),
        "{text}": (
            'Write a newspaper article with the title "{title}" that can be summed up as: '
            "{summary}",
        ),
        "{title}": (
            "Read the summary and the article, then supply the missing headline.\n\nSummary: "
            "{summary}\n\nArticle: {text}",
            "An article was summed up as: {summary}\n\nWhat could its title be?",
        ),
    },
    "samsum": {
        "{summary}": (
            "Summarise this chat conversation in one to three sentences.\n\n{dialogue}",
            "{dialogue}\n\nWhat was that conversation about? Answer briefly and call the speakers "
            "by their names.",
            "Dialogue: {dialogue}\n\nSummary:",
            "I missed these messages in our group chat. Can you catch me up in a sentence or two?"
            "\n\n{dialogue}",
            "Report in the third person what the people in this chat tell each other or agree on."
            "\n\n{dialogue}",
            "These messages were exchanged by phone:\n\n{dialogue}\n\nWrite down only the main "
            "points and the outcome.",
            "Minutes should be brief. Write them for the chat transcript here, in plain sentences."
            "\n\nTranscript: {dialogue}\n\nMinutes:",
        ),
        "{dialogue}": (
            "Write a chat conversation that could be summed up like this: {summary}",
            "Summary: {summary}\n\nDialogue:",
            "Invent the text messages behind this note, each starting with the sender's name and "
            "a colon.\n\n{summary}",
        ),
    },
    "xsum": {
        "{summary}": (
            "Sum up this news article in a single sentence.\n\n{text}",
            "{text}\n\nIn one sentence, what is the article above about?",
            "BBC article: {text}\n\nIts message, put into one sentence:",
            "The first sentence of a news story tells the reader what it is all about. Supply that "
            "sentence for a story that goes on like this.\n\n{text}",
            "You have room for one sentence on a news ticker. Report this story there.\n\n{text}",
            'If a friend asked "What happened?", how would you answer with one sentence from this '
            "report?\n\nReport: {text}",
            "Strip away the details and state the central news of the text as one sentence: {text}",
            "A radio presenter announces the next item.\n\nItem: {text}\n\nThe announcement, one "
            "sentence long:",
        ),
        "{text}": (
            "Write the news article that this sentence introduces: {summary}",
            "A reporter filed only one line: {summary}\n\nExpand it into a complete article of "
            "several paragraphs.",
        ),
    },
    "ag_news_subset": {
        "{answer}": (
            'Tell me the topic of the news article "{title}".\n\n{text}\n\n{options_}',
            "{text}\n\nWhich section of a newspaper would print this report?\n\n{options_}",
            "Title: {title}\n\nText: {text}\n\n{options_}\n\nCategory:",
            "Sort this news item into its subject area.\n\nHeadline: {title}\nStory: {text}\n\n"
            "{options_}",
            "A news agency labels every story with one broad topic. Which label belongs to the "
            'story headed "{title}"?\n\n{text}\n\n{options_}',
            "I am filing news clippings by subject. Under which subject should this one go?\n\n"
            "{title}. {text}\n\n{options_}",
            "Name the topic of the news in one or two words.\n\n{options_}\n\nNews: {title} - "
            "{text}",
            'Readers who see "{title}" in their feed want to know what kind of news it is. '
            "Classify the article by topic.\n\nArticle: {text}\n\n{options_}\n\nTopic:",
        ),
        "{title}": (
            "Write a headline for this short news report.\n\n{text}",
            "Topic: {answer}\n\nReport: {text}\n\nHeadline:",
        ),
    },
    "opinion_abstracts_rotten_tomatoes": {
        "{critic_consensus}": (
            'These are critics\' reviews of the film "{movie}". Write the consensus of the critics '
            "in a sentence or two.\n\n{numbered_reviews}",
            "{numbered_reviews}\n\nOn the whole, what did the critics above think of {movie}? Sum "
            "it up in one or two sentences.",
            "Film: {movie}\n\nReviews: {numbered_reviews}\n\nCritics' consensus:",
            "One critic wrote about {movie}: {first_review}\n\nWrite what the consensus of all "
            "critics may have been.",
            "A film website sums up all reviews of a movie in one statement. Compose that "
            "statement for {movie} from what reviewers said.\n\n{numbered_reviews}",
            'Should I see "{movie}"? Tell me briefly what the critics agree on, going by these '
            "quotes.\n\n{numbered_reviews}",
            "Condense the opinions given here into a single verdict that names the strengths or "
            "weaknesses of the film.\n\nOpinions: {numbered_reviews}\n\nVerdict:",
        ),
        "{numbered_reviews}": (
            'The critics\' consensus on "{movie}" reads: {critic_consensus}\n\nWrite a numbered '
            "series of short reviews that would lead to it.",
            "Make up what individual critics may have said about a film with this consensus, each "
            "in a line or two. Number the reviews, starting at 1.\n\n{critic_consensus}",
        ),
        "{movie}": (
            "Which film do these reviews and this consensus describe?\n\nReviews: "
            "{numbered_reviews}\n\nConsensus: {critic_consensus}",
        ),
    },
    "opinion_abstracts_idebate": {
        "{claim}": (
            'These arguments come from a debate on "{debate_name}" and support one claim. State '
            "the claim in a sentence.\n\n{argument_sentences}",
            "{argument_sentences}\n\nWhat single claim do the sentences above argue for?",
            "Debate: {debate_name}\n\nArguments: {argument_sentences}\n\nClaim:",
            "A speaker in a debate makes the points given here. Put the speaker's main claim into "
            "one short sentence.\n\n{argument_sentences}\n\nMain claim:",
            'In a debate titled "{debate_name}", one side reasons like this:\n\n'
            "{argument_sentences}\n\nSummarise the reasoning as one assertion.",
            "Find the conclusion that all of these points lead to and write it as a brief "
            "statement.\n\nPoints: {argument_sentences}",
        ),
        "{debate_name}": (
            "Someone claims: {claim}\n\nTheir arguments: {argument_sentences}\n\nWhat is the title "
            "of the debate in which they speak?",
            "Name a debate in which you would expect to hear this claim: {claim}",
        ),
        "{argument_sentences}": (
            'Give numbered arguments for the claim "{claim}", made in a debate titled '
            '"{debate_name}".',
            "Claim: {claim}\n\nBack the claim up with several sentences of argument, numbered "
            "from 1.",
        ),
    },
    "wiki_lingua_english_en": {
        "{target}": (
            "Summarise this how-to text in a few short instructions.\n\n{source}",
            "{source}\n\nWhat are the main steps in the text above? Write each as a brief "
            "sentence.",
            "How-to article: {source}\n\nSummary of the steps:",
            "A guide is too long to read while doing the task. Reduce it to its bare instructions, "
            "one short command after another.\n\nGuide: {source}",
            "I only need the gist of this advice. What should I do, in as few words as possible?"
            "\n\n{source}",
            "Read the explanation and write the headings that its steps would have, as plain "
            "imperative sentences.\n\n{source}",
            "Turn these detailed directions into a quick reference of short sentences: {source}",
            "From a website of guides:\n\n{source}\n\nTL;DR:",
        ),
        "{source}": (
            "Write a detailed how-to article that explains these steps.\n\n{target}",
            "Short version: {target}\n\nLong version, with reasons and tips for every step:",
        ),
    },
}
