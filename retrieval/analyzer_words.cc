#include "retrieval/analyzer_words.h"

#include <array>

namespace lectern {
namespace {

constexpr std::array kWords = {
    LanguageWords{"en",
                  "a about after all also an and any are as at be because been before being between both but "
                  "by can could did "
                  "do does doing during each few for from had has have having he her here hers him his how i "
                  "if in into is it "
                  "its itself just many may me might more most much must my no nor not of off on once only "
                  "or other our out "
                  "over own same shall she should so some such than that the their theirs them then there "
                  "these they this "
                  "those through to too under until up upon us very was we were what when where whether "
                  "which while who whom "
                  "whose why will with would you your yours"},
    LanguageWords{"de",
                  "aber alle allem allen aller alles als also am an andere anderen auch auf aus bei beim bin "
                  "bis bist da damit "
                  "dann das dass daß dein dem den denen der deren des dessen die dies diese diesem diesen "
                  "dieser dieses doch "
                  "dort du durch ein eine einem einen einer eines er es etwas euch für gab gegen gibt haben "
                  "hat hatte hatten "
                  "hier hin ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im in ist ja jede jeder jedes kann "
                  "kein keine können "
                  "konnte man mehr mein mit muss nach nicht nichts noch nun nur ob oder ohne sehr sein seine "
                  "seinem seinen "
                  "seiner seit sich sie sind so soll sondern sowie über um und uns unter viel viele vielen "
                  "vom von vor wann "
                  "war waren warum was weil welche welchem welchen welcher welches wem wen wenn wer werden "
                  "wessen wie wieder "
                  "wird wo wofür wohin womit worden wurde wurden zu zum zur zwischen"},
    LanguageWords{
        "fr",
        "à ai au aucun aussi autre aux avait avec avoir c ce ceci cela celle celui ces cet cette ceux chez "
        "comme "
        "comment d dans de des depuis donc dont du elle elles en entre est et été étaient était être eu eux "
        "fait "
        "il ils j je l la le les leur leurs lors lui m mais me même mes moi mon n ne ni nos notre nous on "
        "ont ou où "
        "par pas pendant peu plus pour pourquoi qu quand que quel quelle quelles quels qui quoi s sa sans se "
        "selon "
        "sera ses si son sont sous sur t ta tous tout toute toutes très tu un une vos votre vous y"},
    LanguageWords{"es",
                  "a al algo algunas algunos ante antes aquel así aún aunque cada casi como cómo con contra "
                  "cuál cuáles "
                  "cuando cuándo cuánta cuántas cuánto cuántos cuya cuyo de del desde donde dónde dos "
                  "durante e el él ella "
                  "ellas ellos en entre era eran eres es esa ese eso esta está estaba están estas este esto "
                  "estos fue fueron "
                  "fuera ha había habían haber han hasta hay la las le les lo los más me mediante mi "
                  "mientras muy nada ni no "
                  "nos nosotros o otra otras otro otros para pero poco por porque que qué quién quiénes "
                  "quien se sea ser si sí "
                  "sido sin sobre son su sus también tan tanto te tiene tienen todo todos tras tu tuvo un "
                  "una unas uno unos y "
                  "ya yo"},
    LanguageWords{"pt",
                  "a à ao aos aquela aquele as às até com como da das de dela dele depois do dos e é ela "
                  "elas ele eles em "
                  "entre era eram essa esse esta está estava este eu foi foram há isso isto já lhe mais mas "
                  "me mesmo meu "
                  "minha muito na não nas nem no nos nós num numa o onde os ou para pela pelas pelo pelos "
                  "por porque qual "
                  "quais quando quanto quantos que quem são se sem ser seu seus só sobre sua suas também te "
                  "tem têm teve "
                  "tinha um uma umas uns você"},
    LanguageWords{"it",
                  "a abbia ad agli ai al alla alle allo anche ancora avere aveva c che chi ci ciò come con "
                  "contro cosa cui da "
                  "dagli dai dal dalla dalle dallo degli dei del della delle dello di dopo dove due e è ed "
                  "era erano essere "
                  "fra fu furono gli ha hanno i il in io l la le lei lo loro lui ma me mentre mi mia mio "
                  "molto nei nel nella "
                  "nelle nello noi non nostro o ogni per perché però più poi prima qual quale quali quando "
                  "quanti quanto "
                  "quella quelle quelli quello questa queste questi questo se senza si sia sono sta stata "
                  "stati stato su sua "
                  "sue sugli sui sul sulla sulle suo suoi tra tutti tutto un una uno vi"},
    LanguageWords{"nl",
                  "aan al alle als andere bij daar dan dat de der deze die dit doen door dus een en er ge "
                  "geen had hadden heb "
                  "hebben heeft hem het hier hij hoe hoeveel hun ik in is ja je kan kon kunnen maar me meer "
                  "men met mijn moet "
                  "na naar niet niets nog nu of om onder ons ook op over reeds te tegen toch toen tot u uit "
                  "uw van veel voor "
                  "waar waarom waren was wat we welk welke werd werden wie wil wordt worden zal ze zelf zich "
                  "zij zijn zo "
                  "zonder zou"},
    LanguageWords{"sv",
                  "alla allt än är åt att av blev bli blir de deg dem den denna deras dess det detta dig din "
                  "där då efter "
                  "eller en er ett från för ha hade han hans har hennes hon honom hur här i icke ingen inom "
                  "inte jag ju kan "
                  "kunde man med mellan men mig min mot mycket ni nu när någon något några och om oss på "
                  "samma sedan sig sin "
                  "sina sitta själv skulle som så till under upp ut utan vad var vara varför vem vi vid "
                  "vilka vilken vilket "
                  "väl"},
    LanguageWords{"da",
                  "ad af alle alt anden at blev blive bliver da de dem den denne der deres det dette dig din "
                  "disse dog du "
                  "efter eller en er et for fra ham han hans har havde have hende hendes her hos hun hvad "
                  "hvem hver hvilken "
                  "hvilket hvis hvor hvorfor hvordan i ikke ind jeg jer kan kunne man mange med meget men "
                  "mig min mod ned noget "
                  "nogle nu når og også om op os over på selv sig sin skal skulle som sådan til ud under var "
                  "vi vil ville være "
                  "været"},
    LanguageWords{"no",
                  "alle at av ble bli blir både da de dem den denne der dere deres det dette din disse du "
                  "eller en er et etter "
                  "for fordi fra før ha hadde han hans har hennes her hos hun hva hvem hver hvilke hvilken "
                  "hvis hvor hvordan "
                  "hvorfor i ikke ingen inn jeg kan kunne man mange med meg mellom men mer min mot mye må "
                  "noe noen nå når og "
                  "også om opp oss over på samme seg selv si sin skal skulle slik som så til ut uten var ved "
                  "vi vil ville være "
                  "vært"},
    LanguageWords{"fi",
                  "ei eivät eli en ennen että hän hänen he heidän ja jo joka jos jotka kanssa kuin kuka kun "
                  "kuten kyllä me "
                  "mikä miksi missä mitä mutta myös ne niiden niin nyt ole oli olivat olla on ovat se sekä "
                  "sen siitä siellä "
                  "sitä tai tämä tämän vaan vain ja mukaan ollut koska milloin kuinka"},
    LanguageWords{"hu",
                  "a abban ahhoz ahogy aki akik alatt általában amely amelyek ami amit annak arra az azok "
                  "azonban azt be "
                  "benne cikk csak de e egy egyik egyes ehhez el ez ezek ezen ezért ezt fel ha hanem hogy "
                  "hogyan hol igen ill "
                  "illetve is itt ki le lehet lenne lesz lett maga már meg mely mert mi miért mikor milyen "
                  "minden mint most "
                  "nagyon nem nincs ő ők össze pedig s sem sok szerint talán után vagy vagyok van vannak "
                  "volna volt voltak "
                  "viszont"},
    LanguageWords{"ro",
                  "a acea aceasta această acel acest aceste acestea acestor acestui acești ai al ale am ar "
                  "are asupra au avea "
                  "avut ca cand când care cât câți ce cea cei cel cele celor cine către cu cum da dar "
                  "datorită de deci deși "
                  "despre din dintre după ea ei el ele era erau este eu fără fi fie fiind fost îi în încă "
                  "între își la le lor "
                  "lui mai mult multe mulți nu o ori pe pentru peste poate prin printre sa să sale sau se și "
                  "sub sunt său spre "
                  "un una unde unei unor unui"},
    LanguageWords{"pl",
                  "a aby albo ale ani bardzo bez bo był była było były być ci co czego czy dla dlaczego do "
                  "gdy gdzie go i ich "
                  "ile im inne iż ja jak jaki jaka jakie jako je jego jej jest jeszcze jeśli już kiedy kto "
                  "która które którego "
                  "której którego którzy który ma mnie może na nad nie nich niż o od on ona one oni oraz po "
                  "pod podczas "
                  "ponieważ przed przez przy są się tak także tam te tego tej ten to tylko tym w wszystkie "
                  "we więc z za ze że"},
    LanguageWords{"cs",
                  "a aby ale ani až bez bude by byl byla bylo byli být co což do ho i já jak jako je jeho "
                  "její jejich jen "
                  "ještě jeden jsem jsme jsou k kam kde kdo kdy když která které který kteří ke má mezi mi "
                  "mít na nad nebo než "
                  "není o od on ona oni pak po pod podle pokud pro proč proto před při s se si tak také tato "
                  "tedy ten tento "
                  "to tom tu tyto u už v ve více však z za ze že"},
    LanguageWords{"ca",
                  "a al als amb aquest aquesta aquests això bé com d de del dels des després doncs durant e "
                  "el ella elles ells "
                  "els em en entre era eren és es està esta et fins ha han havia hi ho i l la les li llur "
                  "més molt mentre na "
                  "ni no nosaltres o on només pel pels per però perquè qual quan quant que què qui s sense "
                  "ser seu seva seus "
                  "si sobre són també tant tot un una unes uns va van vaig"},
    LanguageWords{"tr",
                  "acaba ama ancak arada artık aslında ayrıca az bana bazı belki ben beni benim bir biri "
                  "birkaç biz bize bizim "
                  "böyle bu buna bunlar bunu bunun çok çünkü da daha de değil diğer diye dolayı en fakat "
                  "gibi göre hangi "
                  "hangisi hem hep hepsi her hiç için ile ilgili ise kaç kadar karşı kendi kez ki kim kime "
                  "kimin mı mi mu mü "
                  "nasıl ne neden nedir nerede nereye nın niçin niye o olan olarak oldu olduğu olduğunu "
                  "olmak olması olur ona "
                  "onlar onu onun önce oysa sadece sen senin siz sonra şey şimdi şu tarafından tüm üzere var "
                  "ve veya ya yani "
                  "yok zaman"},
    LanguageWords{"vi",
                  "ai anh bao bị bởi các cái cần chỉ cho chưa có còn của cùng cũng đã đang đâu đây để đến "
                  "đều điều do đó được "
                  "gì hay hoặc họ khi không là lại lên mà mỗi một này nào nên nếu ngoài người như những "
                  "nhưng nhiều nhất ở "
                  "phải qua ra rằng rất rồi sao sau sẽ sự tại theo thì thế trên trong trước từ tới và vẫn "
                  "vào về vì việc với "
                  "vừa đó thể"},
    LanguageWords{"id",
                  "ada adalah agar akan antara apa apakah atau bagaimana bahwa banyak beberapa berapa bisa "
                  "dalam dan dapat "
                  "dari dengan di dia harus hanya ia ini itu juga kami kapan karena ke kepada kita lebih "
                  "maka mana mengapa "
                  "menjadi mereka namun oleh orang pada para saat sangat saya sebagai sebuah secara sejak "
                  "seperti serta siapa "
                  "sudah tahun telah tentang terhadap tersebut tidak untuk yang"},
    LanguageWords{"el",
                  "αλλά αν από απο αυτά αυτή αυτής αυτό αυτός αυτών αυτού για δε δεν δύο εάν εγώ είμαι είναι "
                  "είχε είχαν ένα "
                  "έναν ένας ενός έχει έχουν ή η ήταν θα και κατά κάθε κι κάποιος μα μας με μετά μετα μέσα "
                  "μεταξύ μη μην μια "
                  "μία μόνο μου να ο οι όλα όλες όλοι όμως όπου όπως όσο ότι όταν ούτε παρά πάρα ποια ποιά "
                  "ποιες ποιο ποιό "
                  "ποιοι ποιον ποιος ποιός ποιού ποιους πόσα πόσες πόσο πόσοι πόσους ποτέ πότε που πού προς "
                  "προσ πριν πώς πως "
                  "σαν σας σε στα στη στην στις στο στον στου στους στων συν τα τη την της τι τις το τον του "
                  "τους των τόσο "
                  "υπό υπήρχε χωρίς ως ωσ σύμφωνα ποιων ποια ποιας"},
    LanguageWords{"ru",
                  "а без более больше будет будут бы был была были было быть в вам вас весь во вот все всего "
                  "всех всю вы где "
                  "да даже для до его ее её если есть еще ещё же за здесь и из или им их к как какая какие "
                  "каким каких какова "
                  "какого какое какой каком какую ко когда кого кому которая которого которое которой "
                  "котором которую которые "
                  "который которых кто куда ли либо между меня мне много может можно мой мы на над надо нас "
                  "не него нее нет ни "
                  "них но ну о об однако он она они оно от очень перед по под после потому почему при про "
                  "раз с сам свое свой "
                  "свою своих себя сколько со так также такие такой там те тем то того тоже той только том "
                  "тот ту ты у уже "
                  "хотя чего чей чем через что чтобы чье чьи эта эти этих это этого этой этом этот эту я"},
    LanguageWords{
        "uk",
        "а або адже але без більш бо був була були було бути в вам вас вже ви від він вона вони все всі та "
        "так також "
        "де для до дуже є ж за з зі із і й її їй їм їх його йому коли кому хто що щоб як яка яке який яких "
        "які якого "
        "лише між мене мені ми може на над нам нас не неї ні ним них о однак од по під після при про проте "
        "своє свої "
        "свою себе скільки та там те тим ті то того тому той тут ту у це цей ці цього чи чому через я"},
    LanguageWords{"ar",
                  "أ إذا إذ إلا إلى الى التي الذي الذين اللذان اللتي أم أما أن إن ان أنا أنت أنه إنه انه "
                  "أنها أو او أي أية أين "
                  "أول أيضا أيضًا بعد بعض بل بما بين به بها بهذا تحت تلك تم ثم جدا حتى حيث خلال دون ذات ذلك "
                  "سوف عام عدد على "
                  "علي عليه عليها عن عند عندما عنه غير فإن فقد في فيه فيها قبل قد كان كانت كذلك كل كم كما "
                  "كيف لا لأن لدى لقد "
                  "لكن لم لماذا لن له لها لهم ليس ليست ما ماذا متى مثل مع من منذ منه منها نحن هؤلاء هذا هذه "
                  "هل هم هما هنا هناك "
                  "هو هي و وفي وقد وكان وكانت ولا ولم ومن وهو وهي وأن وعلى يكون يمكن"},
    LanguageWords{"fa",
                  "از است اند او این آن آنها ای اگر اما با باید بر برای بود بودن بودند به بی بین پس پیش تا "
                  "تر تمام توسط چرا چه "
                  "چند چون چگونه خود خواهد داد دارد دارند داشت داشته در دیگر را روی زیر سپس شد شدن شده شود "
                  "کدام کرد کردن کرده "
                  "کند کنند که کی کجا گفت ما مانند مورد می میان نمی نه نیز نیست هر هم همه همین هستند هست هیچ "
                  "و ولی ها های یا "
                  "یک"},
    LanguageWords{
        "hi",
        "अगर अत अन्य अपना अपनी अपने अब आदि आप इन इनका इनके इन्हें इस इसका इसकी इसके इसमें इसलिए इसे इसी उन उनका उनकी "
        "उनके "
        "उनको उन्हें उन्होंने उस उसका उसकी उसके उसने उसे एक एवं ऐसा ऐसे और कब कभी कर करता करते करना करने करें कहा कहाँ कहां "
        "का "
        "काफी कि कितना कितनी कितने किन किन्हें किया किस किसका किसकी किसके किसने किसी किसे की कुछ के को कोई कौन कौनसा "
        "कौनसी "
        "कौनसे क्या क्यों क्योंकि गई गए गया गये जब जहाँ जहां जा जाता जाती जाते जाना जिन जिनके जिस जिसका जिसकी जिसके जिसने "
        "जिसमें "
        "जिसे जैसा जैसे जो तक तब तथा तरह तो था थी थीं थे दिया दो द्वारा नहीं ना ने पर पहले फिर बहुत बाद बीच भी मगर में मैं "
        "यदि यह यहाँ यहां या ये रहा रही रहे लिए लिये लेकिन व वह वहाँ वहां वाला वाली वाले वे सकता सकती सकते सब सबसे सभी "
        "साथ से "
        "हम ही हुआ हुई हुए हूँ है हैं हो होता होती होते होना होने"},
    LanguageWords{
        "th",
        "กว่า กับ กัน การ ก็ ก่อน ของ ขึ้น คง ครับ ความ คือ จะ จาก จึง ช่วง ซึ่ง ด้วย ด้าน ดัง ต่อ ต่าง ต้อง ถึง ถูก ทั้ง "
        "ทาง ที่ ที่สุด ทำ ทำให้ ทำไม นอก นั้น นี้ นำ ใน บาง ผู้ พบ เพราะ เพื่อ เพียง เมื่อ เมื่อไหร่ เมื่อไร มา มาก มี แม้ แต่ "
        "ยัง รวม ระหว่าง ลง และ แล้ว แล้วก็ ว่า ส่วน สำหรับ หรือ หาก หลัง หลาย ให้ ได้ ไป ไม่ ไหน อยู่ อย่าง อย่างไร อะไร อีก "
        "เอง ใคร ใด เท่าไหร่ เท่าไร เท่าใด กี่ โดย เป็น เข้า เคย เช่น"},
};

// Chinese particles, pronouns, prepositions and question words; Japanese particles and inflection in
// Hiragana.
constexpr std::u32string_view kCharacters =
    U"的了着过是在和与及或而且但也都就才又还很更最不没有为被把让给由从向对于到以因所之其此这那哪谁什么怎样吗"
    U"呢吧"
    U"啊呀嘛个些几多少何时候们我你您他她它如若则却并等即"
    U"はがをにでとのもへやかしたてだるれさすまなっりいうえよねらこそあどくきけせみんめちつお";

}  // namespace

std::span<const LanguageWords> function_words() {
  return kWords;
}

std::u32string_view function_characters() {
  return kCharacters;
}

}  // namespace lectern
